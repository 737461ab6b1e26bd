//! What is particular to rsync.

use super::RsyncPlace;
use crate::destinations::conformance::{conformance_suite, network_suite};

conformance_suite!(RsyncPlace);
network_suite!(RsyncPlace);
