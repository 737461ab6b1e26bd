//! What is particular to SFTP.

use super::SftpPlace;
use crate::destinations::conformance::{conformance_suite, network_suite};

conformance_suite!(SftpPlace);
network_suite!(SftpPlace);
