//! `cred`: what is in the store of credentials.

mod import;
mod list;

use std::io::Read;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::{Arg, ArgAction, ArgMatches, Command};
use smb_client::{Credentials, Secret};
use zeroize::Zeroizing;

use crate::cli::{log_off, options, text, usage};
use crate::codes;
use crate::connect::{connect_found, connect_options, log_in};
use crate::credentials::{self, Ask, Found, Origin, azure_user, clean, is_azure, is_key, split_user};
use crate::options::{RawOptions, arguments};
use crate::show::tell;
use crate::source::Source;
use crate::store::{self, Entry, Scope};

/// No file that is imported is larger.
const LARGEST: u64 = 4 << 20;

/// How an entry is saved.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Saving {
    pub(crate) untested: bool,
    pub(crate) in_keyring: bool,
}

impl Saving {
    fn of(matches: &ArgMatches) -> Self {
        Self { untested: matches.get_flag("no-test"), in_keyring: matches.get_flag("keyring") }
    }
}

/// The subcommand's arguments.
pub(crate) fn command() -> Command {
    let place = |required| {
        Arg::new("place").value_name("HOST[/SHARE]").required(required).help("A server, or one of its shares")
    };
    let switch = |name: &'static str, help: &'static str| {
        Arg::new(name).long(name).action(ArgAction::SetTrue).help(help)
    };
    let file = || Arg::new("file").value_name("FILE").value_parser(clap::value_parser!(PathBuf));
    let no_test = || switch("no-test", "Save without a login, for a server that is away");
    let in_keyring =
        || switch("keyring", "Keep it in the desktop's keyring: to be had only while that is unlocked");
    Command::new("cred")
        .about("Save, list, try and remove passwords of servers")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(
            Command::new("add")
                .about("Save a password, once a login has shown that it is right")
                .args(arguments(false))
                .arg(switch("prompt", "Ask on the terminal, whatever else there is"))
                .arg(file().long("key-file").help("File with the password or key in its first line"))
                .arg(switch("two", "Two passwords or keys, a line each: the second is tried after the first"))
                .args([no_test(), in_keyring()])
                .arg(place(true)),
        )
        .subcommand(
            Command::new("list")
                .about("List what is saved, without the passwords")
                .arg(switch("json", "Print JSON")),
        )
        .subcommand(
            Command::new("show")
                .about("Say which of the saved ones a place would be used with")
                .args([user(), switch("json", "Print JSON")])
                .arg(place(true)),
        )
        .subcommand(
            Command::new("test")
                .about("Log in as a mount would, and say with what")
                .args(arguments(false))
                .arg(place(true)),
        )
        .subcommand(
            Command::new("remove")
                .visible_alias("rm")
                .about("Forget a saved password")
                .arg(user())
                .arg(place(true)),
        )
        .subcommand(
            Command::new("import")
                .about("Save what a credentials file, a line of fstab or an Azure connection string has")
                .args(arguments(false))
                .args([no_test(), in_keyring()])
                .arg(file().required(true).help("The file; - for standard input"))
                .arg(place(false)),
        )
}

fn user() -> Arg {
    Arg::new("username")
        .long("username")
        .alias("user")
        .value_name("NAME")
        .help("Whose, where there are several")
}

/// `sharefs cred`
pub(crate) fn run(matches: &ArgMatches) -> Result<ExitCode> {
    match matches.subcommand() {
        Some(("add", matches)) => add(matches)?,
        Some(("list", matches)) => list::list(matches.get_flag("json"))?,
        Some(("show", matches)) => show(matches)?,
        Some(("test", matches)) => test(matches)?,
        Some(("remove", matches)) => remove(matches)?,
        Some(("import", matches)) => import(matches)?,
        _ => bail!("no command"),
    }
    Ok(ExitCode::SUCCESS)
}

fn add(matches: &ArgMatches) -> Result<()> {
    let (scope, source) = Scope::parse(text(matches, "place")?).map_err(usage)?;
    let options = options(matches)?;
    let user = options.username.clone().or_else(|| source.user.clone()).or_else(|| azure_user(&scope.host));
    let user = user.filter(|user| !user.is_empty()).context("whose password is it? Give --user NAME")?;
    let domain = options.domain.clone().or_else(|| source.domain.clone());
    let (password, second) = secrets(matches, &options, &user, &scope.host)?;
    if is_azure(&scope.host) && !is_key(password.expose()) {
        tell("sharefs: this has not the shape of a storage account's key: 88 characters, == at the end");
    }
    let entry = Entry::new(scope, &user, domain, &password, second.as_ref());
    save(entry, &source, &options, Saving::of(matches))
}

/// The password and, where there are two, the other one.
fn secrets(
    matches: &ArgMatches,
    options: &RawOptions,
    user: &str,
    host: &str,
) -> Result<(Secret, Option<Secret>)> {
    let two = matches.get_flag("two");
    let (first, second) = if let Some(file) = matches.get_one::<PathBuf>("file") {
        let (first, second) = credentials::file::read_lines(file)?;
        (first, second.filter(|_| two))
    } else if matches.get_flag("password-stdin") {
        let first = credentials::read_line()?;
        (first, two.then(credentials::read_line).transpose()?)
    } else if let Some(file) = options.credentials.as_ref().filter(|_| !matches.get_flag("prompt")) {
        let login = credentials::file::read(file)?;
        (login.password.with_context(|| format!("{} has no password", file.display()))?, login.second)
    } else if let Some(password) = options.password.clone().filter(|_| !matches.get_flag("prompt")) {
        tell("sharefs: a password on the command line stays in the shell's history: let yourself be asked");
        (password, options.second.clone())
    } else {
        let first = credentials::prompt(user, host, Ask::Terminal)?;
        let second = || credentials::prompt(&format!("{user} (the second)"), host, Ask::Terminal);
        (first, two.then(second).transpose()?)
    };
    if two && second.is_none() {
        bail!("there is one password only");
    }
    Ok((clean(first)?, second.map(clean).transpose()?))
}

/// Saves what has been found to be right, or what is said not to be tried.
pub(crate) fn save(entry: Entry, source: &Source, options: &RawOptions, saving: Saving) -> Result<()> {
    let (place, user) = (entry.scope(), entry.full_user());
    if !saving.untested {
        let (password, second) = entry.secrets()?;
        let second = second.map(|password| credentials_of(&entry, password));
        let found = Found { credentials: credentials_of(&entry, password), second, origin: Origin::Nobody };
        try_login(source, entry.share.is_some(), options, found).context(
            "nothing was saved; --no-test saves it without a login, where the server is only away for now",
        )?;
    }
    let replaced = store::add(entry, saving.in_keyring)?;
    let what = if replaced { "replaced" } else { "saved" };
    let tried = if saving.untested { "" } else { " after a login" };
    let place = if saving.in_keyring { format!("{place}, in the desktop's keyring") } else { place };
    tell(&format!("{what} the password of {user} for {place}{tried}, in {}", store::path()?.display()));
    Ok(())
}

fn credentials_of(entry: &Entry, password: Secret) -> Credentials {
    let (domain, user) = split_user(&entry.user, Some(entry.domain.clone()));
    Credentials::Password { user, domain, password }
}

/// Logs in, and connects to the share if one is named.
pub(crate) fn try_login(source: &Source, with_share: bool, options: &RawOptions, found: Found) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    let mut connect = connect_options(source, options, found.credentials);
    runtime.block_on(async {
        let client = if with_share {
            connect_found(source, &mut connect, found.second).await?.0
        } else {
            log_in(source, &mut connect, found.second).await?
        };
        log_off(client).await;
        Ok(())
    })
}

fn show(matches: &ArgMatches) -> Result<()> {
    let (scope, _) = Scope::parse(text(matches, "place")?).map_err(usage)?;
    let user = matches.get_one::<String>("username").map(String::as_str);
    let share = scope.share.as_deref().unwrap_or("IPC$");
    let entry = store::find(&scope.host, share, user, None)?
        .with_context(|| format!("nothing is saved for {}", scope.host))?;
    list::show(&entry, matches.get_flag("json"))
}

fn test(matches: &ArgMatches) -> Result<()> {
    let (scope, source) = Scope::parse(text(matches, "place")?).map_err(usage)?;
    let options = options(matches)?;
    let found = credentials::find(&source, &options, Ask::with(matches.get_flag("password-stdin")))?;
    let said = format!(
        "{} takes {}; the password was {}",
        source.host,
        found.user().as_deref().unwrap_or("nobody"),
        found.origin
    );
    try_login(&source, scope.share.is_some(), &options, found)?;
    println!("{said}");
    Ok(())
}

fn remove(matches: &ArgMatches) -> Result<()> {
    let (scope, source) = Scope::parse(text(matches, "place")?).map_err(usage)?;
    let user = matches.get_one::<String>("username").cloned().or(source.user);
    let (user, removed) = store::update(|entries| {
        let ours = |entry: &Entry| {
            entry.is_for(&scope) && user.as_deref().is_none_or(|user| entry.is_of(user, None))
        };
        let names: Vec<String> = entries.iter().filter(|entry| ours(entry)).map(Entry::full_user).collect();
        match &names[..] {
            [] => Err(codes::NO_PASSWORD.says(format!("nothing is saved for {}", place(&scope)))),
            [name] => {
                let removed: Vec<Entry> = entries.extract_if(.., |entry| ours(entry)).collect();
                Ok((name.clone(), removed))
            }
            _ => Err(codes::SEVERAL_USERS.says(format!(
                "there are several for {}: give --user with {}",
                place(&scope),
                names.join(", ")
            ))),
        }
    })?;
    removed.iter().for_each(store::forget);
    tell(&format!("removed the password of {user} for {}", place(&scope)));
    Ok(())
}

fn place(scope: &Scope) -> String {
    match &scope.share {
        Some(share) => format!("//{}/{share}", scope.host),
        None => format!("//{}", scope.host),
    }
}

fn import(matches: &ArgMatches) -> Result<()> {
    let file: &PathBuf = matches.get_one("file").context("the file is missing")?;
    let mut content = Zeroizing::new(String::new());
    let read = if file.as_os_str() == "-" {
        std::io::stdin().take(LARGEST).read_to_string(&mut content)
    } else {
        std::fs::File::open(file).and_then(|file| file.take(LARGEST).read_to_string(&mut content))
    };
    read.with_context(|| format!("cannot read {}", file.display()))?;
    let named =
        matches.get_one::<String>("place").map(|place| Scope::parse(place).map_err(usage)).transpose()?;
    let options = options(matches)?;
    for import::Imported { scope, login } in import::read(&content, named.map(|(scope, _)| scope))? {
        let (_, source) = Scope::parse(&place(&scope))?;
        let user = options.username.clone().or(login.user).or_else(|| azure_user(&scope.host));
        let user =
            user.with_context(|| format!("whose is the password for {}? Give --user", place(&scope)))?;
        let domain = options.domain.clone().or(login.domain);
        let password =
            login.password.with_context(|| format!("there is no password for {}", place(&scope)))?;
        let second = login.second.map(clean).transpose()?;
        let entry = Entry::new(scope, &user, domain, &clean(password)?, second.as_ref());
        save(entry, &source, &options, Saving::of(matches))?;
    }
    Ok(())
}
