//! All codes.

use super::Code;

macro_rules! codes {
    ($($constant:ident $name:literal { cause: $cause:literal, check: $check:literal, fix: $fix:literal $(,)? })*) => {
        $(
            #[doc = $cause]
            pub(crate) static $constant: Code = Code { name: $name, cause: $cause, check: $check, fix: $fix };
        )*
        /// All of them, in the order in which a connection meets them.
        pub(crate) static ALL: &[&Code] = &[$(&$constant),*];
    };
}

codes! {
    NAME_UNRESOLVED "name-unresolved" {
        cause: "The server's name has no address, as this machine's resolver sees it.",
        check: "`getent ahosts SERVER`; a private endpoint's name is known only to the resolver of its own network.",
        fix: "Correct the name, use the resolver that knows it, or give the address with `-o ip=ADDRESS`.",
    }
    PORT_CLOSED "port-closed" {
        cause: "The machine answers, and no SMB server listens at this port.",
        check: "Whether the server runs, and at which port: 445 as a rule.",
        fix: "Start the server, correct the name, or give the port with `-o port=NUMBER`.",
    }
    PORT_SILENT "port-silent" {
        cause: "Nothing answers at this address and port: a firewall or provider drops what goes to port 445, or the machine is off.",
        check: "`sharefs doctor //SERVER/SHARE` from another network; many providers and companies block port 445 outwards.",
        fix: "Have TCP port 445 let through, go by a VPN or a private endpoint, or correct the address.",
    }
    NETWORK_UNREACHABLE "network-unreachable" {
        cause: "This machine has no way to the server's address.",
        check: "`ip route get ADDRESS`, the VPN, and whether the network is up.",
        fix: "Bring the network or the VPN up.",
    }
    SERVER_SILENT "server-silent" {
        cause: "The server took the connection, and then did not answer in time.",
        check: "Whether the server is overloaded, or something else than SMB listens there, such as a proxy.",
        fix: "Try again when the server is well; correct address and port if it is another service.",
    }
    CONNECTION_LOST "connection-lost" {
        cause: "The connection ended in the middle: the server closed it, restarted, or the network broke.",
        check: "The server's log, and whether a firewall ends SMB connections.",
        fix: "Try again; `get` and `put` go on with `--resume`, and a mount reconnects by itself.",
    }
    SMB1_ONLY "smb1-only" {
        cause: "The server speaks SMB 1 only, which nobody should use any more, and `sharefs` does not.",
        check: "The server's settings for its SMB version.",
        fix: "Switch on SMB 2 or 3 at the server; a NAS may need a newer firmware.",
    }
    NO_COMMON_DIALECT "no-common-dialect" {
        cause: "Server and client have no dialect of SMB in common.",
        check: "`sharefs doctor //SERVER/SHARE --filter negotiate,matrix` without `-o vers=`.",
        fix: "Leave out `-o vers=`, or allow a newer dialect at the server.",
    }
    PROTOCOL_BROKEN "protocol-broken" {
        cause: "What the server says is not SMB as it is specified: it is faulty, or it is no SMB server.",
        check: "Whether address and port are the server's; run the command with `-vv`.",
        fix: "Correct the address; else report it with `sharefs doctor //SERVER/SHARE --bundle FILE`.",
    }
    TAMPERED "tampered" {
        cause: "What arrived is not what the server sent, or the server offers less protection than before: somebody may be in between.",
        check: "Whether a proxy or an accelerator changes SMB on its way.",
        fix: "Take another way to the server; do not switch signing off.",
    }
    ENCRYPTION_UNAVAILABLE "encryption-unavailable" {
        cause: "Encryption is wanted, and server and client have no cipher in common.",
        check: "`sharefs doctor //SERVER/SHARE --filter matrix`",
        fix: "Let `-o vers=` include 3.0 or later, allow a cipher at the server, or drop `-o seal`.",
    }
    ENCRYPTION_REQUIRED "encryption-required" {
        cause: "The server refuses what is not encrypted.",
        check: "`sharefs doctor //SERVER/SHARE --filter matrix`",
        fix: "Give `-o seal`, and let `-o vers=` include 3.0 or later.",
    }
    NO_USER "no-user" {
        cause: "It is not known who is to log in.",
        check: "`sharefs cred list`",
        fix: "Give `-o username=NAME`, or `-o guest` where the share is open to all.",
    }
    NO_PASSWORD "no-password" {
        cause: "There is no password for this user and server, and nobody can be asked for one.",
        check: "`sharefs cred show SERVER`",
        fix: "`sharefs cred add SERVER --user NAME`, or give `-o credentials=FILE` or `--password-stdin`.",
    }
    SEVERAL_USERS "several-users" {
        cause: "Passwords of several users are saved for this server, and none was named.",
        check: "`sharefs cred list`",
        fix: "Give `-o username=NAME`.",
    }
    NOT_A_KEY "not-a-key" {
        cause: "The password is not an Azure storage account's key: it is a SAS token, a connection string, or of another shape.",
        check: "A key has 88 characters and ends in `==`; no share can be mounted with a SAS token.",
        fix: "Take one of the account's keys (Security + networking, Access keys): `sharefs cred add SERVER`.",
    }
    ANOTHER_ACCOUNT "another-account" {
        cause: "The user is not the storage account that the server is called after.",
        check: "`sharefs cred show SERVER`",
        fix: "Leave the user out, or give the account's name: `-o username=ACCOUNT`, with that account's key.",
    }
    SECRET_EXPOSED "secret-exposed" {
        cause: "Others can read the password where it is kept.",
        check: "`ls -l FILE`",
        fix: "`chmod 600 FILE`, or save it with `sharefs cred add` instead; change the password.",
    }
    STORE_UNUSABLE "store-unusable" {
        cause: "The store of saved passwords cannot be read: its key is missing, or it was changed.",
        check: "`sharefs cred list`",
        fix: "Bring the file or its key back, or remove the file and save the passwords again.",
    }
    KEYRING_UNUSABLE "keyring-unusable" {
        cause: "The desktop's keyring is locked, not running, or has lost the password.",
        check: "`sharefs cred list`",
        fix: "Log in to the desktop, or save the password without `--keyring`.",
    }
    CREDENTIALS_FILE "credentials-file" {
        cause: "The credentials file cannot be read or understood.",
        check: "It has lines `username=`, `password=`, `domain=`, and belongs to the user.",
        fix: "Correct the file, or save the password with `sharefs cred add`.",
    }
    KERBEROS_NOT_BUILT "kerberos-not-built" {
        cause: "This version of `sharefs` has no Kerberos.",
        check: "Whether the server takes NTLMv2, as with an account key.",
        fix: "Log in with a password or an account key.",
    }
    LOGON_REFUSED "logon-refused" {
        cause: "The server does not take this user with this password.",
        check: "User, domain and password; on Azure that the key is this account's and was not changed.",
        fix: "`sharefs cred add SERVER --user NAME`; some servers want `-o domain=`.",
    }
    FIRST_PASSWORD_REFUSED "first-password-refused" {
        cause: "The first of two passwords is refused and the second is taken: the first has been changed.",
        check: "`sharefs cred show SERVER`",
        fix: "`sharefs cred add SERVER --two`, with the new one.",
    }
    SECOND_PASSWORD_REFUSED "second-password-refused" {
        cause: "The second of two passwords is refused: it will not serve when the first is changed.",
        check: "`sharefs cred show SERVER`",
        fix: "`sharefs cred add SERVER --two`, with the new one.",
    }
    LOGON_DENIED "logon-denied" {
        cause: "The server refuses the way of logging in, not the password: dialect, cipher, signing, NTLM, or where it comes from.",
        check: "`sharefs doctor //SERVER/SHARE --filter matrix`; on Azure the account's SMB security settings and firewall.",
        fix: "Give `-o seal`, leave out `-o vers=`, or allow this network and this kind of login at the server.",
    }
    ACCOUNT_BARRED "account-barred" {
        cause: "The account is disabled, expired or locked out.",
        check: "The account at the server; too many wrong passwords lock an account.",
        fix: "The server's administrator has to let it in again.",
    }
    PASSWORD_EXPIRED "password-expired" {
        cause: "The password has expired, or must be changed at the first login.",
        check: "The account at the server.",
        fix: "Change the password there, then `sharefs cred add SERVER --user NAME`.",
    }
    ONLY_GUEST "only-guest" {
        cause: "The server does not know the user and would let it in as guest, unsigned and unencrypted.",
        check: "The user's name at the server.",
        fix: "Correct the user; or give `-o guest` if guest access is what you want.",
    }
    LOGON_FAILED "logon-failed" {
        cause: "The login failed for another reason, which the text has.",
        check: "`sharefs -vv doctor //SERVER/SHARE`, and the server's log.",
        fix: "Mend what the text says, at the server as a rule.",
    }
    SHARE_MISSING "share-missing" {
        cause: "The server has no share of this name.",
        check: "`sharefs shares //SERVER`",
        fix: "Correct the name of the share.",
    }
    SHARE_DENIED "share-denied" {
        cause: "The user is logged in and may not use this share.",
        check: "The share's permissions; on Azure the role for the share (Storage File Data SMB Share …), which takes up to 30 minutes.",
        fix: "Have the user let in; where the share wants encryption, give `-o seal`.",
    }
    ACCESS_DENIED "access-denied" {
        cause: "The user may not do this with this file or directory.",
        check: "`sharefs doctor //SERVER/SHARE/PATH --filter share`",
        fix: "Have the permissions changed, or log in as another user with `-o username=`.",
    }
    NOT_FOUND "not-found" {
        cause: "There is no such file or directory on the server.",
        check: "`sharefs ls //SERVER/SHARE`",
        fix: "Correct the path.",
    }
    ALREADY_THERE "already-there" {
        cause: "There is one of this name already.",
        check: "`sharefs stat //SERVER/SHARE/PATH`",
        fix: "Take another name, or remove what is there.",
    }
    WRONG_KIND "wrong-kind" {
        cause: "It is a directory where a file is wanted, or the other way round.",
        check: "`sharefs stat //SERVER/SHARE/PATH`",
        fix: "Name the other one; whole directories are copied and removed with `-r`.",
    }
    NOT_EMPTY "not-empty" {
        cause: "The directory has something in it.",
        check: "`sharefs ls -a //SERVER/SHARE/PATH`",
        fix: "`sharefs rm -r`, if all in it may go.",
    }
    IN_USE "in-use" {
        cause: "Somebody has the file open and does not share it, or it is marked as read-only.",
        check: "The server's list of open files; a handle that was left behind can be closed there.",
        fix: "Close it there, or try again later.",
    }
    READ_ONLY "read-only" {
        cause: "The share or the medium may only be read.",
        check: "The share's settings at the server, and `-o ro`.",
        fix: "Have it made writable.",
    }
    SHARE_FULL "share-full" {
        cause: "The share is full, or the user's part of it is.",
        check: "`sharefs df //SERVER/SHARE`",
        fix: "Remove something, or have the share or the quota made larger.",
    }
    LINK_IN_THE_WAY "link-in-the-way" {
        cause: "A symbolic link or special file is where a plain one is wanted.",
        check: "`sharefs stat //SERVER/SHARE/PATH`",
        fix: "Name what the link leads to, or leave it out with `--exclude`.",
    }
    NAME_INVALID "name-invalid" {
        cause: "No server can have a file of this name.",
        check: "Empty names, `.` and `..`, and names that are too long.",
        fix: "Take another name.",
    }
    TOO_LARGE "too-large" {
        cause: "The request is larger than the server lets one be.",
        check: "`sharefs doctor //SERVER/SHARE --filter negotiate`",
        fix: "Report it with `sharefs doctor //SERVER/SHARE --bundle FILE`.",
    }
    NOT_SUPPORTED "not-supported" {
        cause: "The server cannot do this.",
        check: "`sharefs doctor //SERVER/SHARE --filter capabilities --write-probe`",
        fix: "Do without it, or switch it on at the server.",
    }
    SERVER_REFUSED "server-refused" {
        cause: "The server refused, with the status in the text.",
        check: "The status, and the server's log.",
        fix: "Mend what the status names, at the server as a rule.",
    }
    OLD_DIALECT "old-dialect" {
        cause: "The server speaks an old dialect of SMB, in which whoever is on the way can do more.",
        check: "`sharefs doctor //SERVER/SHARE --filter negotiate,matrix`",
        fix: "Switch on SMB 3.1.1 at the server.",
    }
    UNPROTECTED "unprotected" {
        cause: "The session is neither signed nor encrypted: anybody on the way can change what is read and written.",
        check: "`-o nosign` and `-o guest`.",
        fix: "Leave them out; log in as a user.",
    }
    CLOCK_SKEW "clock-skew" {
        cause: "The clocks of server and client differ by more than five minutes: logins may fail, and times are wrong.",
        check: "`timedatectl` here, and the clock there.",
        fix: "`timedatectl set-ntp true`",
    }
    CANNOT_WRITE "cannot-write" {
        cause: "The user may read in the share and not write.",
        check: "The permissions of share and directory at the server.",
        fix: "Have the user let write, or mount with `-o ro`.",
    }
    FUSE_MISSING "fuse-missing" {
        cause: "There is no /dev/fuse: the kernel's module is not loaded, or a container has not got the device.",
        check: "`ls -l /dev/fuse`",
        fix: "As root `modprobe fuse`; for a container `--device /dev/fuse`.",
    }
    FUSE_DENIED "fuse-denied" {
        cause: "The user may not open /dev/fuse.",
        check: "`ls -l /dev/fuse`",
        fix: "As root `chmod 0666 /dev/fuse`.",
    }
    FUSERMOUNT_MISSING "fusermount-missing" {
        cause: "There is no fusermount3, which mounts for users other than root.",
        check: "`command -v fusermount3`",
        fix: "As root `apt-get install fuse3`.",
    }
    FUSERMOUNT_POWERLESS "fusermount-powerless" {
        cause: "fusermount3 is not set-user-ID root, so it cannot mount for users.",
        check: "`ls -l FUSERMOUNT3`",
        fix: "As root `chmod u+s FUSERMOUNT3`; a container with no_new_privs cannot have it.",
    }
    ALLOW_OTHER "allow-other" {
        cause: "Only root may let other users in, unless /etc/fuse.conf says otherwise.",
        check: "`grep user_allow_other /etc/fuse.conf`",
        fix: "As root `echo user_allow_other >> /etc/fuse.conf`, or leave out `-o allow_other`.",
    }
    MOUNT_POINT_MISSING "mount-point-missing" {
        cause: "The folder to mount on does not exist.",
        check: "`ls -ld DIR`",
        fix: "`mkdir -p DIR`",
    }
    MOUNT_POINT_IS_A_FILE "mount-point-is-a-file" {
        cause: "What is to be mounted on is not a folder.",
        check: "`ls -ld DIR`",
        fix: "Name another folder.",
    }
    MOUNT_POINT_NOT_YOURS "mount-point-not-yours" {
        cause: "The user may not write to the folder, and so may not mount on it.",
        check: "`ls -ld DIR`",
        fix: "Take a folder of your own.",
    }
    MOUNT_POINT_IN_USE "mount-point-in-use" {
        cause: "The folder has something in it, which the mount would hide.",
        check: "`ls -A DIR`",
        fix: "Take an empty folder.",
    }
    ALREADY_MOUNTED "already-mounted" {
        cause: "Something is mounted on the folder already.",
        check: "`sharefs list`",
        fix: "`sharefs umount DIR`, or `sharefs mount --ensure` to have it mounted whatever was before.",
    }
    MOUNTED_READ_ONLY "mounted-read-only" {
        cause: "What was mounted for reading only cannot be made writable while it is mounted.",
        check: "`sharefs status`",
        fix: "Unmount it, and mount it without `ro`.",
    }
    UNKNOWN_USER "unknown-user" {
        cause: "This machine knows no user of that name.",
        check: "`getent passwd NAME`",
        fix: "Mend the name in `setuid=` in /etc/fstab.",
    }
    DEAD_MOUNT "dead-mount" {
        cause: "A mount is left whose serving process has died.",
        check: "`sharefs status`",
        fix: "`sharefs umount DIR`; `sharefs mount` takes it away by itself.",
    }
    UNHEALTHY_MOUNT "unhealthy-mount" {
        cause: "A mount is there and not well, or one that is to be there could not be made.",
        check: "`sharefs list`",
        fix: "Mend the reason that is given; `sharefs mount DIR` mounts again.",
    }
    NOT_MOUNTED "not-mounted" {
        cause: "Nothing is mounted on the folder.",
        check: "`sharefs list`",
        fix: "Name the folder of a mount.",
    }
    MOUNT_IN_USE "mount-in-use" {
        cause: "A file is open in the mount, or a program's working directory is there.",
        check: "`fuser -vm DIR`",
        fix: "End the program, or `sharefs umount -l DIR`.",
    }
    MOUNT_FAILED "mount-failed" {
        cause: "The kernel or fusermount3 refused to mount, to unmount, or to go on.",
        check: "`dmesg`, and that fusermount3 is set-user-ID root.",
        fix: "Mend what the text says.",
    }
    SERVING_ENDED "serving-ended" {
        cause: "The process that serves the mount ended unexpectedly.",
        check: "The log that the text names.",
        fix: "Mount again; report it with `sharefs doctor //SERVER/SHARE --bundle FILE`.",
    }
    SERVING_SILENT "serving-silent" {
        cause: "The process that serves the mount cannot be asked: it does not answer, or is of another version.",
        check: "`sharefs status`, and the process that it names.",
        fix: "Continue the process where it was stopped; else mount again.",
    }
    NOT_SAVED "not-saved" {
        cause: "The server does not have all that programs have written.",
        check: "The files and reasons in the text, and `sharefs status`.",
        fix: "Mend the reason; write again what the programs that wrote it do not write again by themselves.",
    }
    LINGER_OFF "linger-off" {
        cause: "The user's units start at login, not at boot: remembered mounts come back only then.",
        check: "`loginctl show-user $USER --property=Linger`",
        fix: "As root `loginctl enable-linger USER`.",
    }
    UNIT_MISSING "unit-missing" {
        cause: "Mounts are remembered, and nothing mounts them at boot or login.",
        check: "`sharefs list`",
        fix: "`sharefs mount //SERVER/SHARE DIR --persist` writes it anew; without systemd `@reboot sharefs mount --all --wait 300` in `crontab -e`.",
    }
    NOT_REMEMBERED "not-remembered" {
        cause: "No mount of this folder or source is remembered.",
        check: "`sharefs list`",
        fix: "`sharefs mount //SERVER/SHARE DIR --persist`",
    }
    INCOMPLETE "incomplete" {
        cause: "Some of several could not be done; each has its own line with its own code.",
        check: "The lines before this one.",
        fix: "Mend those; with `--resume` what is there already is not copied again.",
    }
    INTERRUPTED "interrupted" {
        cause: "The command was told to end before it was done.",
        check: "Who ended it: Ctrl-C, a logout, or a time limit.",
        fix: "Run it again; with `--resume` it goes on where it was.",
    }
    DAMAGED "damaged" {
        cause: "A copy is not what was sent: something between the two changes data.",
        check: "The copy again with `--checksum`; memory and disks of both machines.",
        fix: "Copy it again; where it happens again, do not trust the disk or the server.",
    }
    LOCAL_MISSING "local-missing" {
        cause: "A file or directory of this machine is not there.",
        check: "The path in the text.",
        fix: "Correct the path.",
    }
    LOCAL_DENIED "local-denied" {
        cause: "The user may not use a file or directory of this machine, or others may use one of secrets.",
        check: "`ls -l` of the path in the text.",
        fix: "Change its permissions or its owner.",
    }
    LOCAL_FULL "local-full" {
        cause: "The disk of this machine is full.",
        check: "`df -h`",
        fix: "Make room.",
    }
    LOCAL_FAILED "local-failed" {
        cause: "This machine could not do something, for the reason in the text.",
        check: "The text, and `dmesg`.",
        fix: "Mend what the text says.",
    }
    USAGE "usage" {
        cause: "The command line cannot be understood.",
        check: "`sharefs COMMAND --help`",
        fix: "Correct the command.",
    }
    FAILED "failed" {
        cause: "Something failed for which there is no code of its own; the text says what.",
        check: "The command with `-v`.",
        fix: "Mend what the text says.",
    }
}
