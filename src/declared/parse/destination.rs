//! `destinations`: where snapshots are kept.

use super::decoder::{Decoder, Fields};
use super::node::{Content, Entry, Node};
use super::problem::Fault;
use crate::declared::{
    ByteSize, DestinationDeclaration, DestinationKind, DestinationName, Encryption, Identity, KeyForm,
    LayoutTemplate, LocalDeclaration, Lock, Protocol, ProtocolKey, RemoteDeclaration, Transport,
};
use std::collections::BTreeMap;

/// Protocols that the design has and this version does not, and what others call those it has.
const LATER: [&str; 1] = ["restic"];
const COMMON: [&str; 8] =
    ["type", "retention", "compression", "prove", "failure_domain", "encryption", "layout", "copy_from"];
/// Of every remote destination.
const TRANSPORT: [&str; 3] = ["limit_rate", "timeout", "retries"];
/// Of those that are reached by HTTP.
const HTTP: [&str; 1] = ["proxy"];
/// Of those whose server shows a certificate.
const CERTIFICATE: [&str; 1] = ["ca"];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Local,
    Remote(Protocol),
}

impl Decoder<'_> {
    pub fn destination(&mut self, entry: &Entry) -> Option<(DestinationName, DestinationDeclaration)> {
        let before = self.problems.len();
        let name = self.name(entry, DestinationName::try_from);
        let node = &entry.node;
        self.map(node, "a destination", "write `{ type: local, path: /var/backups/bkp }`")?;
        // The type comes first: what the other keys mean depends on it.
        let kind = match node.entry("type") {
            None => {
                let what = format!("destination `{}` has no `type`", entry.key);
                self.note(Fault::Missing, what, entry.key_place, "add `type: local`");
                None
            }
            Some(kind) => self.destination_kind(&kind.node),
        }?;
        let own = match kind {
            Kind::Local => vec!["path"],
            Kind::Remote(protocol) => {
                let keys = protocol.keys().iter().map(|key| key.name);
                let http = HTTP.into_iter().filter(|_| protocol.is_http());
                let certificate = CERTIFICATE.into_iter().filter(|_| protocol.has_certificates());
                keys.chain(TRANSPORT).chain(http).chain(certificate).collect()
            }
        };
        let subject = match kind {
            Kind::Local => "a `local` destination".to_owned(),
            Kind::Remote(protocol) => format!("a destination of type `{}`", protocol.word()),
        };
        let known: Vec<&str> = COMMON.into_iter().chain(own).collect();
        let fields = self.fields(node, &subject, &known, &[])?;
        let kind = match kind {
            Kind::Local => self.local(&fields, &subject),
            Kind::Remote(protocol) => self.remote(&fields, &subject, protocol),
        };
        let declaration = DestinationDeclaration {
            kind,
            retention: fields.get("retention").and_then(|it| self.retention(it)),
            compression: fields.get("compression").and_then(|it| self.compression(it)),
            prove: fields.get("prove").and_then(|it| self.prove(it)),
            failure_domain: self.line(&fields, "failure_domain"),
            encryption: fields.get("encryption").and_then(|it| self.encryption(it)),
            layout: fields.get("layout").and_then(|it| {
                self.parsed(
                    it,
                    "a layout",
                    "write one such as `sqlite/{date}/{set}.db.gz`",
                    LayoutTemplate::try_from,
                )
            }),
            copy_from: fields
                .get("copy_from")
                .and_then(|it| self.parsed(it, "a name", "name a destination", DestinationName::try_from)),
        };
        if self.problems.len() != before {
            return None;
        }
        Some((name?, declaration))
    }

    /// The type; what others call it is answered with ours.
    fn destination_kind(&mut self, node: &Node) -> Option<Kind> {
        if let Content::Text(text) = &node.content {
            let ours = match text.as_str() {
                "r2" | "wasabi" | "spaces" | "minio" => Some(format!("type: s3, provider: {text}")),
                "nextcloud" | "owncloud" => Some("type: webdav".to_owned()),
                "azure" => Some("type: azblob".to_owned()),
                "gs" | "gcp" => Some("type: gcs".to_owned()),
                "ssh" => Some("type: sftp".to_owned()),
                "ftps" => Some("type: ftp` with `url: ftps://...".to_owned()),
                _ => None,
            };
            if let Some(ours) = ours {
                let what = format!("`{text}` is not a type of destination");
                self.note(Fault::UnknownWord, what, node.place, format!("write `{ours}`"));
                return None;
            }
        }
        let remote = Protocol::ALL.map(|it| (it.word(), Kind::Remote(it)));
        let words: Vec<(&'static str, Kind)> =
            std::iter::once(("local", Kind::Local)).chain(remote).collect();
        self.word(node, "a type of destination", &words, &LATER)
    }

    fn local(&mut self, fields: &Fields<'_>, subject: &str) -> DestinationKind {
        let fix = "add `path:`, the folder that keeps snapshots";
        let path = self.required(fields, "path", subject, fix);
        let path = path.and_then(|it| self.path(it, "`path`"));
        DestinationKind::Local(LocalDeclaration { path: path.unwrap_or_default() })
    }

    fn remote(&mut self, fields: &Fields<'_>, subject: &str, protocol: Protocol) -> DestinationKind {
        let (mut settings, mut secrets) = (BTreeMap::new(), BTreeMap::new());
        for key in protocol.keys() {
            let node = if key.required {
                self.required(fields, key.name, subject, &format!("add `{}`: {}", key.name, key.help))
            } else {
                fields.get(key.name)
            };
            let Some(node) = node else { continue };
            match key.form {
                KeyForm::Secret => {
                    secrets.extend(self.secret(node, key.name).map(|it| (key.name, it)));
                }
                KeyForm::Reference => {
                    secrets.extend(self.reference(node, key.name).map(|it| (key.name, it)));
                }
                form => settings.extend(self.setting(fields, node, key, form).map(|it| (key.name, it))),
            }
        }
        let remote = RemoteDeclaration { protocol, settings, secrets, transport: self.transport(fields) };
        self.check_remote(fields, &remote);
        DestinationKind::Remote(Box::new(remote))
    }

    fn setting(
        &mut self,
        fields: &Fields<'_>,
        node: &Node,
        key: &ProtocolKey,
        form: KeyForm,
    ) -> Option<String> {
        let subject = format!("`{}`", key.name);
        match form {
            KeyForm::Line => self.text(node, &subject).map(str::to_owned),
            KeyForm::Folder => self.remote_folder(node, &subject),
            KeyForm::Url(schemes) => self.url(node, &subject, schemes),
            KeyForm::Port => self.port(fields).map(|it| it.to_string()),
            KeyForm::Flag => self.flag(node, &subject).map(|it| it.to_string()),
            KeyForm::Word(words) => {
                let words: Vec<(&'static str, &'static str)> = words.iter().map(|it| (*it, *it)).collect();
                self.word(node, &subject, &words, &[]).map(str::to_owned)
            }
            KeyForm::Secret | KeyForm::Reference => None,
        }
    }

    /// A folder at a destination: no `..`, no doubled `/`, and not the root of a whole machine by accident.
    fn remote_folder(&mut self, node: &Node, subject: &str) -> Option<String> {
        let text = self.text(node, subject)?;
        let trimmed = text.trim_end_matches('/');
        let parts = trimmed.strip_prefix('/').unwrap_or(trimmed);
        let fine = |part: &str| !part.is_empty() && part != "." && part != "..";
        if !parts.split('/').all(fine) {
            let what = format!("{subject} `{text}` is no folder: it has an empty part, `.` or `..`");
            self.note(Fault::BadValue, what, node.place, "write a path such as `backups/bkp`");
            return None;
        }
        Some(trimmed.to_owned())
    }

    fn transport(&mut self, fields: &Fields<'_>) -> Transport {
        let rate = fields.get("limit_rate").and_then(|it| {
            let read = |text: String| text.parse::<ByteSize>();
            self.parsed(it, "a rate", "write bytes per second, such as `10MiB`", read)
        });
        let retries = fields.get("retries").and_then(|it| {
            let count = self.count(it, "`retries`")?;
            if count > 20 {
                let what = format!("`retries: {count}` would hide a destination that does not work");
                self.note(Fault::BadValue, what, it.place, "write 0 to 20");
            }
            Some(count)
        });
        Transport {
            limit_rate: rate,
            timeout: fields.get("timeout").and_then(|it| self.span(it, "`timeout`")),
            retries,
            proxy: fields.get("proxy").and_then(|it| self.url(it, "`proxy`", &["http://", "https://"])),
            ca: self.file(fields, "ca"),
        }
    }

    /// What the table of keys cannot say.
    fn check_remote(&mut self, fields: &Fields<'_>, remote: &RemoteDeclaration) {
        match remote.protocol {
            Protocol::Azblob => {
                self.one_of(fields, "account_key", "sas_token");
            }
            Protocol::Dropbox | Protocol::Gdrive | Protocol::Onedrive => {
                self.one_of(fields, "access_token", "refresh_token");
                for key in ["client_id", "client_secret"] {
                    if fields.has("refresh_token") && !fields.has(key) {
                        let what = format!("`refresh_token` needs `{key}`");
                        self.note(
                            Fault::Missing,
                            what,
                            fields.place,
                            format!("add `{key}: {{ file: PATH }}`"),
                        );
                    }
                }
            }
            Protocol::Webdav => {
                if fields.has("user") != fields.has("password") {
                    let what = "`user` and `password` belong together";
                    self.note(Fault::Missing, what, fields.place, "write both, or neither");
                }
            }
            Protocol::S3 => self.check_s3(fields, remote),
            Protocol::Rclone => {
                // rclone's connection strings: `NAME,OPTION=VALUE:PATH` and `:TYPE,OPTION=VALUE:PATH`.
                let name = remote.setting("remote").trim_start_matches(':').split(':').next();
                if name.is_some_and(|it| it.contains(',')) {
                    let place = fields.get("remote").map_or(fields.place, |it| it.place);
                    self.problems.hide(place);
                    let what = "options stand in `remote`, where everybody may read them";
                    let fix =
                        "put them into the file of `config`; a secret among them was exposed: change it";
                    self.note(Fault::LiteralSecret, what, place, fix);
                }
            }
            Protocol::Sftp
            | Protocol::Rsync
            | Protocol::Gcs
            | Protocol::B2
            | Protocol::Ftp
            | Protocol::Swift
            | Protocol::Oss
            | Protocol::Cos
            | Protocol::Obs => {}
        }
    }

    fn check_s3(&mut self, fields: &Fields<'_>, remote: &RemoteDeclaration) {
        let needed: &[&str] = match remote.setting("provider") {
            "r2" => &["account"],
            "b2" | "wasabi" | "spaces" => &["region"],
            "minio" | "other" => &["endpoint"],
            _ => &["region"],
        };
        let endpoint = fields.has("endpoint");
        for key in needed {
            if !(fields.has(key) || endpoint && *key != "region") {
                let what = format!("this provider's address needs `{key}`");
                self.note(Fault::Missing, what, fields.place, format!("add `{key}`"));
            }
        }
    }

    fn one_of(&mut self, fields: &Fields<'_>, one: &str, other: &str) {
        if fields.has(one) == fields.has(other) {
            let what = format!("one of `{one}` and `{other}` opens the destination");
            let fault = if fields.has(one) { Fault::Conflict } else { Fault::Missing };
            self.note(
                fault,
                what,
                fields.place,
                format!("write `{one}` or `{other}`, as `{{ file: PATH }}`"),
            );
        }
    }

    fn encryption(&mut self, node: &Node) -> Option<Encryption> {
        let before = self.problems.len();
        let keys = ["type", "recipients", "passphrase", "identity"];
        let fields = self.fields(node, "`encryption`", &keys, &[])?;
        let kind = self.required(&fields, "type", "`encryption`", "add `type: age`")?;
        self.word(kind, "a type of encryption", &[("age", ())], &[])?;
        let lock = match (fields.get("recipients"), fields.get("passphrase")) {
            (Some(recipients), None) => self.recipients(recipients).map(Lock::Recipients),
            (None, Some(passphrase)) => self.secret(passphrase, "passphrase").map(Lock::Passphrase),
            (recipients, _) => {
                let what = "`encryption` is for `recipients` or with a `passphrase`";
                let fault = if recipients.is_some() { Fault::Conflict } else { Fault::Missing };
                self.note(fault, what, node.place, "`bkp keys new` makes a key and shows its recipient");
                None
            }
        };
        let identity = match (fields.get("identity"), &lock) {
            (None, Some(Lock::Passphrase(_))) => Some(Identity::Passphrase),
            (Some(identity), Some(Lock::Passphrase(_))) => {
                let what = "the passphrase opens it, and there is no other `identity`";
                self.note(Fault::Conflict, what, identity.place, "remove it");
                None
            }
            (Some(identity), _) => self.identity(identity),
            (None, _) => {
                let what = "`encryption` does not say where the `identity` is that opens it again";
                let fix = "add `identity: { file: PATH }`, or `identity: { elsewhere: \"in the safe\" }`";
                self.note(Fault::Missing, what, node.place, fix);
                None
            }
        };
        if self.problems.len() != before {
            return None;
        }
        Some(Encryption { lock: lock?, identity: identity? })
    }

    fn identity(&mut self, node: &Node) -> Option<Identity> {
        if let Some(elsewhere) = node.entry("elsewhere") {
            if node.entries().len() != 1 {
                let what = "the identity is `elsewhere` or here, not both";
                self.note(Fault::Conflict, what, node.place, "keep one of them");
                return None;
            }
            let reason = self.text(&elsewhere.node, "where the identity is")?;
            return Some(Identity::Elsewhere(reason.to_owned()));
        }
        self.secret(node, "identity").map(Identity::Here)
    }

    fn recipients(&mut self, node: &Node) -> Option<Vec<String>> {
        let before = self.problems.len();
        let items = self.list(node, "`recipients`", "write at least one, such as `age1...`")?;
        let mut recipients = Vec::new();
        for item in items {
            let Some(text) = self.text(item, "a recipient") else { continue };
            // Whether it is a good key is asked of age itself; here only what would be an exposed secret is caught.
            if text.to_uppercase().starts_with("AGE-SECRET-KEY-") || text.contains("PRIVATE KEY") {
                self.problems.hide(item.place);
                let what = "a private key is written out here, and plan files hold no secrets";
                let fix = "write the public one, `age1...`, and make a new key: this one was exposed";
                self.note(Fault::LiteralSecret, what, item.place, fix);
            } else if let Err(why) = crate::encryption::check_recipient(text) {
                let what = format!("`{text}` is no recipient: {why}");
                self.note(
                    Fault::BadValue,
                    what,
                    item.place,
                    "write `age1...`, `ssh-ed25519 ...` or `ssh-rsa ...`",
                );
            } else {
                recipients.push(text.to_owned());
            }
        }
        recipients.sort_unstable();
        recipients.dedup();
        (self.problems.len() == before).then_some(recipients)
    }

    /// A key that is a name.
    pub fn name<T, E: std::fmt::Display>(
        &mut self,
        entry: &Entry,
        read: impl FnOnce(String) -> Result<T, E>,
    ) -> Option<T> {
        let node = Node { place: entry.key_place, content: Content::Text(entry.key.clone()) };
        self.parsed(&node, "a name", "choose another name", read)
    }
}
