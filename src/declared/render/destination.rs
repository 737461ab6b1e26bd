//! A destination written again as YAML.

use super::{Map, named, path, prove, retention, secret, span, texts};
use crate::declared::{
    DestinationDeclaration, DestinationKind, Encryption, Identity, KeyForm, Lock, RemoteDeclaration,
    Transport,
};
use serde_yaml::Value;

pub(super) fn destination(declaration: &DestinationDeclaration) -> Value {
    let mut map = Map::default();
    map.put("type", declaration.kind.word());
    match &declaration.kind {
        DestinationKind::Local(local) => map.put("path", path(&local.path)),
        DestinationKind::Remote(it) => remote(it, &mut map),
    }
    map.put_some("retention", declaration.retention.as_ref().map(retention));
    map.put_some("compression", declaration.compression.map(|it| it.word().into()));
    map.put_some("prove", declaration.prove.map(prove));
    map.put_some("failure_domain", declaration.failure_domain.as_deref().map(Into::into));
    map.put_some("encryption", declaration.encryption.as_ref().map(encryption));
    map.put_some("layout", declaration.layout.as_ref().map(|it| it.to_string().into()));
    map.put_some("copy_from", declaration.copy_from.as_ref().map(|it| it.as_str().into()));
    map.into()
}

fn remote(declaration: &RemoteDeclaration, map: &mut Map) {
    for key in declaration.protocol.keys() {
        let setting = declaration.settings.get(key.name).map(|text| match key.form {
            KeyForm::Port => text.parse::<u16>().map_or_else(|_| text.as_str().into(), Value::from),
            KeyForm::Flag => (text == "true").into(),
            KeyForm::Line
            | KeyForm::Folder
            | KeyForm::Url(_)
            | KeyForm::Word(_)
            | KeyForm::Secret
            | KeyForm::Reference => text.as_str().into(),
        });
        map.put_some(key.name, setting);
        map.put_some(key.name, declaration.secrets.get(key.name).map(secret));
    }
    let Transport { limit_rate, timeout, retries, proxy, ca } = &declaration.transport;
    map.put_some("limit_rate", limit_rate.map(|it| it.to_string().into()));
    map.put_some("timeout", timeout.map(span));
    map.put_some("retries", retries.map(Into::into));
    map.put_some("proxy", proxy.as_deref().map(Into::into));
    map.put_some("ca", ca.as_ref().map(|it| path(it).into()));
}

fn encryption(declaration: &Encryption) -> Value {
    let mut map = Map::default();
    map.put("type", "age");
    match &declaration.lock {
        Lock::Recipients(recipients) => map.put("recipients", texts(recipients)),
        Lock::Passphrase(passphrase) => map.put("passphrase", secret(passphrase)),
    }
    match &declaration.identity {
        Identity::Passphrase => {}
        Identity::Here(identity) => map.put("identity", secret(identity)),
        Identity::Elsewhere(reason) => map.put("identity", named([("elsewhere", reason.as_str().into())])),
    }
    map.into()
}
