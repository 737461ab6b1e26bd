//! The one runtime of the process, which the storage libraries want. Nothing of ours is asynchronous: a thread asks, and
//! waits for the answer.

use std::future::Future;
use std::sync::OnceLock;
use tokio::runtime::{Builder, Runtime};

static RUNTIME: OnceLock<Runtime> = OnceLock::new();

/// Worker threads: they only move bytes between sockets and buffers.
const WORKERS: usize = 2;

pub(super) fn runtime() -> &'static Runtime {
    RUNTIME.get_or_init(|| {
        // Whoever asks first decides for the process; everybody asks for the same.
        let _first_come = rustls::crypto::ring::default_provider().install_default();
        let built =
            Builder::new_multi_thread().worker_threads(WORKERS).thread_name("bkp-io").enable_all().build();
        built.expect("a process that may have threads can have a runtime")
    })
}

/// Waits for an answer.
pub(super) fn wait<F: Future>(future: F) -> F::Output {
    runtime().block_on(future)
}
