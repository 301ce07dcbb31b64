//! The commands of the documents for users, done as they say on a machine that has what they name.

use std::fs;
use std::path::Path;

use sharefs_tests::End;

use crate::server::machine;

/// The machine's server has all the names, and what the documents find in the folders is there.
const FIXTURE: &str = r#"
secret=alices-s3cret
echo '127.0.0.1 server nas' >>/etc/hosts
printf '%s\n%s\n' "$secret" "$secret" | smbpasswd -s -a alice
mkdir -p /srv/share /srv/media /srv/files/folder /mnt/data /mnt/nas
chown acct: /srv/share
chown -R alice: /srv/media /srv/files
cat >>/etc/samba/smb.conf <<CONF
[share]
    path = /srv/share
    read only = no
[media]
    path = /srv/media
    read only = no
CONF
sed -i 's|/srv/data|/srv/files|' /etc/samba/smb.conf
systemctl restart smbd
echo hello >/srv/files/file
echo hello >/srv/files/folder/file

cd /home/alice
mkdir data media dist folder
echo hello | tee dist/file folder/own >notes
printf %s "$key" >key.txt
printf '%s\n%s\n' "$newer" "$key" >two-keys.txt
printf %s "$secret" >password.txt
echo "DefaultEndpointsProtocol=https;AccountName=acct;AccountKey=$key;EndpointSuffix=core.windows.net" \
    >connection-string.txt
printf 'username=alice\npassword=%s\n' "$secret" | tee server.cred >/etc/server.cred
chown -R alice: .
cp password.txt /etc/fetch.password
chmod 600 /etc/server.cred server.cred /etc/fetch.password
echo "//nas/media /mnt/nas cifs username=alice,password=$secret,_netdev,nofail 0 0" >>/etc/fstab
cat >/tmp/typist <<TYPIST
export SHARE_KEY='$key'
# Who is asked for a password types it.
sharefs() {
    case "\$*" in
        *--password-stdin* | *--key-file*) command sharefs "\$@" ;;
        'cred add acct'*) printf %s '$key' | command sharefs "\$@" --password-stdin ;;
        'cred add '*) printf %s '$secret' | command sharefs "\$@" --password-stdin ;;
        *) command sharefs "\$@" ;;
    esac
}
TYPIST
cd /
"#;

/// Commands, and who runs them.
struct Step {
    user: String,
    commands: String,
}

/// What a part of a document has people do, one after the other.
///
/// Panics where it does not say who does it: `<!-- as alice -->` and `<!-- as root -->` before a block or a table, whose
/// last column it is, or `<!-- not run: WHY -->`.
fn steps(part: &str) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut marker = None;
    let mut lines = part.lines();
    while let Some(line) = lines.next() {
        let row = line.starts_with('|').then(|| line.trim_matches('|').rsplit(" | ").next()).flatten();
        let commands = if line.starts_with("```") {
            Some(
                lines
                    .by_ref()
                    .take_while(|line| !line.starts_with("```"))
                    .flat_map(|line| [line, "\n"])
                    .collect(),
            )
        } else {
            let code = row.and_then(|cell| cell.trim().strip_prefix('`')?.strip_suffix('`'));
            code.map(str::to_owned)
        };
        if let Some(commands) = commands {
            let who: &str = marker.unwrap_or_else(|| panic!("nobody is to run this:\n{commands}"));
            if let Some(user) = who.strip_prefix("as ") {
                steps.push(Step { user: user.into(), commands });
            } else {
                assert!(who.starts_with("not run: "), "{who}");
            }
        }
        let comment = line.strip_prefix("<!-- ").and_then(|rest| rest.strip_suffix(" -->"));
        // It is about what follows at once.
        marker = if row.is_some() { marker } else { comment };
    }
    steps
}

/// Does what a document says, each of its sections on a machine of its own.
fn perform(document: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs").join(document);
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut count = 0;
    for part in text.split("\n## ") {
        let steps = steps(part);
        if steps.is_empty() {
            continue;
        }
        count += steps.len();
        let mut script = FIXTURE.to_owned();
        for Step { user, commands } in steps {
            script.push_str(&format!(
                "cat /tmp/typist - >/tmp/step <<'THE_STEP'\nset -x\n{commands}\nTHE_STEP\n"
            ));
            script.push_str(&match user.as_str() {
                "root" => "bash -eu /tmp/step </dev/null\n".to_owned(),
                user => format!("su --login {user} --command 'bash -eu /tmp/step' </dev/null\n"),
            });
        }
        machine(&script, End::PowerCut);
    }
    assert!(count > 10, "{document} has hardly any commands");
}

#[test]
fn the_quick_start_does_what_it_says() {
    perform("QUICKSTART.md");
}

#[test]
fn what_others_did_is_done_as_the_table_says() {
    perform("COMING-FROM.md");
}
