//! Options as they are remembered: words that can be read again, without a secret.

use anyhow::{Context, Result, bail};
use clap::ArgMatches;

use super::{RawOptions, SPECS, Spec};

/// Options that hold a secret: they are for the store.
const SECRET: [&str; 2] = ["password", "password2"];

impl RawOptions {
    /// The options of a command line, one a word: `name` or `name=value`.
    pub(crate) fn words(matches: &ArgMatches) -> Result<Vec<String>> {
        let mut words = Vec::new();
        for list in matches.try_get_many::<String>("o").ok().flatten().into_iter().flatten() {
            words.extend(Self::words_of(list)?);
        }
        for spec in SPECS {
            if spec.value.is_some() {
                for value in matches.try_get_many::<String>(spec.name).ok().flatten().into_iter().flatten() {
                    words.extend(word(spec, Some(value))?);
                }
            } else if matches.try_get_one::<bool>(spec.name).ok().flatten().copied().unwrap_or(false) {
                words.extend(word(spec, None)?);
            }
        }
        Ok(words)
    }

    /// The same of a list as `-o` has it. What is for others (`_netdev`) is left out.
    pub(crate) fn words_of(list: &str) -> Result<Vec<String>> {
        let mut words = Vec::new();
        for item in list.split(',').map(str::trim_start) {
            let (name, value) = match item.split_once('=') {
                Some((name, value)) => (name.trim(), Some(value)),
                None => (item.trim(), None),
            };
            if let Some(spec) = known(name, value.is_some()) {
                words.extend(word(spec, value)?);
            }
        }
        Ok(words)
    }

    /// Reads them again.
    pub(crate) fn from_words(words: &[String]) -> Result<Self> {
        let mut options = Self::default();
        for word in words {
            let (name, value) = match word.split_once('=') {
                Some((name, value)) => (name, Some(value)),
                None => (word.as_str(), None),
            };
            let Some(spec) = known(name, value.is_some()) else { bail!("unknown option {name:?}") };
            options.apply(spec, value)?;
        }
        Ok(options)
    }
}

fn known(name: &str, has_value: bool) -> Option<&'static Spec> {
    SPECS.iter().find(|spec| spec.name == name || (has_value && spec.aliases.contains(&name)))
}

fn word(spec: &Spec, value: Option<&str>) -> Result<Option<String>> {
    if SECRET.contains(&spec.name) {
        return Ok(None);
    }
    Ok(Some(match value {
        // It will be read in another directory.
        Some(file) if spec.name == "credentials" => {
            let path = std::path::absolute(file).context("cannot find the current directory")?;
            format!("{}={}", spec.name, path.to_str().context("the credentials file's name is not UTF-8")?)
        }
        Some(value) => format!("{}={value}", spec.name),
        None => spec.name.into(),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_mean_the_same_and_hold_no_secret() {
        let list =
            "user=bob,pass=s3cret,password2=s3cret,seal,_netdev,x-systemd.automount,cred=/a b,port=4450";
        let words = RawOptions::words_of(list).unwrap();
        assert_eq!(words, ["username=bob", "seal", "credentials=/a b", "port=4450"]);
        let options = RawOptions::from_words(&words).unwrap();
        assert_eq!(
            (options.username.as_deref(), options.seal, options.port),
            (Some("bob"), true, Some(4450))
        );
        assert!(RawOptions::from_words(&["nonsense".into()]).is_err());
    }
}
