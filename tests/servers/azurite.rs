//! Azurite, which speaks Azure's Blob Storage, with a container in it.

use super::{Server, free_port, installed};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use hmac::{Hmac, KeyInit, Mac};
use std::process::Command;

/// The account that every Azurite has, and its key (Azurite's documentation).
const ACCOUNT: &str = "devstoreaccount1";
const KEY: &str = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";
/// The container.
const CONTAINER: &str = "box";
const VERSION: &str = "2021-10-04";

/// A server with a container.
#[derive(Debug)]
pub struct Azurite {
    server: Server,
}

impl Azurite {
    /// One with an empty container.
    pub fn start() -> Self {
        let port = free_port();
        let folder = tempfile::tempdir().expect("a folder");
        let mut command = Command::new(installed().join("azurite/node_modules/.bin/azurite-blob"));
        command.args(["--blobHost", "127.0.0.1", "--blobPort", &port.to_string(), "--location"]);
        command.arg(folder.path()).args(["--skipApiVersionCheck", "--disableTelemetry"]);
        let azurite = Self { server: Server::start(&mut command, port, folder) };
        let (status, answer) = azurite.ask("PUT", "", "restype=container", &[], "");
        assert_eq!(status, 201, "{answer}");
        azurite
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.server.port()
    }

    /// Its account.
    pub fn account(&self) -> &'static str {
        ACCOUNT
    }

    /// The account's key.
    pub fn key(&self) -> &'static str {
        KEY
    }

    /// Its container.
    pub fn container(&self) -> &'static str {
        CONTAINER
    }

    /// A shared access signature for everything, until a time such as `2099-01-01T00:00:00Z` (Microsoft, "Create an account
    /// SAS").
    pub fn sas(&self, until: &str) -> String {
        let (may, service, types, version) = ("rwdlacup", "b", "sco", "2019-12-12");
        let text = format!("{ACCOUNT}\n{may}\n{service}\n{types}\n\n{until}\n\n\n{version}\n");
        let key = BASE64.decode(KEY).expect("base64");
        let mut mac = Hmac::<sha2::Sha256>::new_from_slice(&key).expect("any length");
        mac.update(text.as_bytes());
        let signature = BASE64.encode(mac.finalize().into_bytes());
        let signature = signature.replace('+', "%2B").replace('/', "%2F").replace('=', "%3D");
        let until = until.replace(':', "%3A");
        format!("sv={version}&ss={service}&srt={types}&sp={may}&se={until}&sig={signature}")
    }

    /// One request to the container, or to a blob in it (`/name`); status and body.
    pub fn ask(
        &self,
        method: &str,
        blob: &str,
        query: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> (u16, String) {
        let sas = self.sas("2099-01-01T00:00:00Z");
        let port = self.port();
        let and = if query.is_empty() { "" } else { "&" };
        let url = format!("http://127.0.0.1:{port}/{ACCOUNT}/{CONTAINER}{blob}?{query}{and}{sas}");
        super::ask(&url, method, &[headers, &[("x-ms-version", VERSION)]].concat(), body)
    }

    /// Puts one block of a blob, and leaves it so. Its number is as long as those that the storage library gives: one blob
    /// takes one length only.
    pub fn leave_upload(&self, key: &str) {
        let (status, answer) = self.ask(
            "PUT",
            &format!("/{key}"),
            "comp=block&blockid=AAAAAAAAAAAAAAAAAAAAAA%3D%3D",
            &[],
            "half",
        );
        assert_eq!(status, 201, "{answer}");
    }

    /// Sets a blob's tier.
    pub fn set_tier(&self, key: &str, tier: &str) {
        let (status, answer) =
            self.ask("PUT", &format!("/{key}"), "comp=tier", &[("x-ms-access-tier", tier)], "");
        assert!((200..300).contains(&status), "{status}: {answer}");
    }

    /// Names of all blobs.
    pub fn keys(&self) -> Vec<String> {
        let (status, list) = self.ask("GET", "", "restype=container&comp=list", &[], "");
        assert_eq!(status, 200, "{list}");
        list.split("<Name>").skip(1).map(|it| it.split('<').next().unwrap_or_default().to_owned()).collect()
    }
}
