//! What several of these tests need.

use sharefs_tests::Mount;

/// Runs a script that must fail, with `message` in what it says.
pub(crate) fn fails(mount: &Mount, script: &str, message: &str) {
    let output = mount.shell_output(script);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "{script} must fail");
    assert!(said.contains(message), "{script}: {message:?} is not in {said:?}");
}

/// Python for calls that must fail, and how.
pub(crate) const REFUSED: &str = "
import errno
def refused(code, call, *args):
    try:
        call(*args)
    except OSError as e:
        assert e.errno == code, (errno.errorcode.get(e.errno), 'instead of', errno.errorcode[code])
    else:
        raise AssertionError('must fail with ' + errno.errorcode[code])
";
