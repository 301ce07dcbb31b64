//! Who may do what: identifiers, access control lists and security descriptors in their binary form and as text
//! ([MS-DTYP] 2.4, 2.5.1).

mod ace;
mod acl;
mod alias;
mod descriptor;
mod sddl;
mod sid;

pub use ace::{Ace, AceBody, AceFlags, AceKind};
pub use acl::Acl;
pub use descriptor::{Control, SecurityDescriptor, SecurityInformation};
pub use sddl::SddlError;
pub use sid::{ParseSidError, Sid, UnixId};
