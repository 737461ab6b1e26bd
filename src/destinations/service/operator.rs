//! From a declaration to the storage library's operator.

use super::super::Secrets;
use super::bucket::{Bucket, BucketPlace};
use crate::declared::{Protocol, RemoteDeclaration};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use opendal::layers::RetryLayer;
use opendal::services;
use opendal::{HttpTransporter, OperationContext, Operator};
use std::time::Duration;

/// Longest rest between two tries.
const REST_MAX: Duration = Duration::from_secs(30);

/// The three drives have the same keys, and no trait that says so.
macro_rules! drive {
    ($builder:expr, $root:expr, $secrets:expr, $secret:expr) => {{
        let builder = $builder.root($root);
        Operator::new(if $secrets.contains_key("access_token") {
            builder.access_token(&$secret("access_token"))
        } else {
            builder
                .refresh_token(&$secret("refresh_token"))
                .client_id(&$secret("client_id"))
                .client_secret(&$secret("client_secret"))
        })
    }};
}

/// Builds the operator. Errors are texts for people, and hold no secret. What takes too long is the transport's to say: a
/// limit to operations would cut off large pieces on slow lines.
pub(super) fn operator(
    remote: &RemoteDeclaration,
    secrets: &Secrets,
    transport: HttpTransporter,
) -> Result<Operator, String> {
    let retries = usize::try_from(remote.transport.retries()).unwrap_or(usize::MAX);
    let operator = service(remote, secrets)?;
    Ok(operator
        .with_context(OperationContext::new().with_http_transport(transport))
        .layer(RetryLayer::new().with_max_times(retries).with_max_delay(REST_MAX).with_jitter()))
}

/// Where it is, for people.
pub(super) fn location(remote: &RemoteDeclaration) -> String {
    let path = remote.setting("path").trim_start_matches('/');
    let place = match remote.protocol {
        Protocol::Webdav => remote.setting("url").to_owned(),
        Protocol::Azblob => format!("azblob://{}/{}", remote.setting("account"), remote.setting("container")),
        Protocol::Swift => format!("swift://{}", remote.setting("container")),
        Protocol::Dropbox | Protocol::Gdrive | Protocol::Onedrive => format!("{}:/", remote.protocol.word()),
        Protocol::S3
        | Protocol::Gcs
        | Protocol::B2
        | Protocol::Oss
        | Protocol::Cos
        | Protocol::Obs
        | Protocol::Sftp
        | Protocol::Rsync
        | Protocol::Ftp
        | Protocol::Rclone => format!("{}://{}", remote.protocol.word(), remote.setting("bucket")),
    };
    if path.is_empty() { place } else { format!("{}/{path}", place.trim_end_matches('/')) }
}

/// The address of an S3 provider where the plan does not say one, and its region.
fn s3_place(remote: &RemoteDeclaration) -> (String, String) {
    let (endpoint, region) = (remote.setting("endpoint"), remote.setting("region"));
    let (address, default_region) = match remote.setting("provider") {
        "r2" => (format!("https://{}.r2.cloudflarestorage.com", remote.setting("account")), "auto"),
        "b2" => (format!("https://s3.{region}.backblazeb2.com"), ""),
        "wasabi" => (format!("https://s3.{region}.wasabisys.com"), ""),
        "spaces" => (format!("https://{region}.digitaloceanspaces.com"), ""),
        "minio" | "other" => (String::new(), "us-east-1"),
        _ => (format!("https://s3.{region}.amazonaws.com"), ""),
    };
    let endpoint = if endpoint.is_empty() { address } else { endpoint.to_owned() };
    (endpoint, if region.is_empty() { default_region.to_owned() } else { region.to_owned() })
}

/// A secret in full, as the library wants it; a line break at a file's end is none of it.
fn text(secrets: &Secrets, key: &str) -> String {
    let line = secrets.get(key).map(|it| String::from_utf8_lossy(it.line()).trim().to_owned());
    line.unwrap_or_default()
}

/// The bucket asked directly, where the protocol is S3.
pub(super) fn bucket(
    remote: &RemoteDeclaration,
    secrets: &Secrets,
    transport: HttpTransporter,
) -> Option<Bucket> {
    if remote.protocol != Protocol::S3 {
        return None;
    }
    let (endpoint, region) = s3_place(remote);
    let token = text(secrets, "session_token");
    let place = BucketPlace {
        endpoint: &endpoint,
        region: &region,
        access_key_id: &text(secrets, "access_key_id"),
        secret_access_key: &text(secrets, "secret_access_key"),
        session_token: Some(token.as_str()).filter(|it| !it.is_empty()),
    };
    Some(Bucket::new(remote, &place, transport))
}

fn service(remote: &RemoteDeclaration, secrets: &Secrets) -> Result<Operator, String> {
    let setting = |key: &str| remote.setting(key);
    let secret = |key: &str| text(secrets, key);
    let root = format!("/{}", setting("path").trim_start_matches('/'));
    let built = match remote.protocol {
        Protocol::S3 => s3(remote, secrets, &root),
        Protocol::Gcs => gcs(remote, secrets, &root),
        Protocol::Azblob => azblob(remote, secrets, &root),
        Protocol::B2 => Operator::new(
            services::B2::default()
                .root(&root)
                .bucket(setting("bucket"))
                .bucket_id(setting("bucket_id"))
                .application_key_id(&secret("application_key_id"))
                .application_key(&secret("application_key")),
        ),
        Protocol::Webdav => {
            let mut builder = services::Webdav::default().root(&root).endpoint(setting("url"));
            if secrets.contains_key("token") {
                builder = builder.token(&secret("token"));
            } else if !setting("user").is_empty() {
                builder = builder.username(setting("user")).password(&secret("password"));
            }
            Operator::new(builder)
        }
        Protocol::Swift => Operator::new(
            services::Swift::default()
                .root(&root)
                .endpoint(setting("endpoint"))
                .container(setting("container"))
                .token(&secret("token")),
        ),
        Protocol::Oss => Operator::new(
            services::Oss::default()
                .root(&root)
                .bucket(setting("bucket"))
                .endpoint(setting("endpoint"))
                .access_key_id(&secret("access_key_id"))
                .access_key_secret(&secret("access_key_secret")),
        ),
        Protocol::Cos => Operator::new(
            services::Cos::default()
                .root(&root)
                .bucket(setting("bucket"))
                .endpoint(setting("endpoint"))
                .secret_id(&secret("secret_id"))
                .secret_key(&secret("secret_key"))
                .disable_config_load(),
        ),
        Protocol::Obs => Operator::new(
            services::Obs::default()
                .root(&root)
                .bucket(setting("bucket"))
                .endpoint(setting("endpoint"))
                .access_key_id(&secret("access_key_id"))
                .secret_access_key(&secret("secret_access_key")),
        ),
        Protocol::Dropbox => drive!(services::Dropbox::default(), &root, secrets, secret),
        Protocol::Gdrive => drive!(services::Gdrive::default(), &root, secrets, secret),
        Protocol::Onedrive => drive!(services::Onedrive::default(), &root, secrets, secret),
        Protocol::Sftp | Protocol::Rsync | Protocol::Ftp | Protocol::Rclone => {
            return Err(format!("`{}` is no service behind HTTP", remote.protocol.word()));
        }
    };
    // The library's message names the key that is wrong and no value of a secret.
    built.map_err(|error| error.message().to_owned())
}

fn s3(remote: &RemoteDeclaration, secrets: &Secrets, root: &str) -> opendal::Result<Operator> {
    let (endpoint, region) = s3_place(remote);
    let mut builder = services::S3::default()
        .root(root)
        .bucket(remote.setting("bucket"))
        .endpoint(&endpoint)
        .region(&region)
        .access_key_id(&text(secrets, "access_key_id"))
        .secret_access_key(&text(secrets, "secret_access_key"))
        .disable_config_load()
        .disable_ec2_metadata();
    if secrets.contains_key("session_token") {
        builder = builder.session_token(&text(secrets, "session_token"));
    }
    Operator::new(builder)
}

fn gcs(remote: &RemoteDeclaration, secrets: &Secrets, root: &str) -> opendal::Result<Operator> {
    let credential = secrets.get("credential").map_or(&b""[..], |it| it.bytes());
    let mut builder = services::Gcs::default()
        .root(root)
        .bucket(remote.setting("bucket"))
        .credential(&BASE64.encode(credential))
        .disable_config_load()
        .disable_vm_metadata();
    if !remote.setting("endpoint").is_empty() {
        builder = builder.endpoint(remote.setting("endpoint"));
    }
    Operator::new(builder)
}

fn azblob(remote: &RemoteDeclaration, secrets: &Secrets, root: &str) -> opendal::Result<Operator> {
    let account = remote.setting("account");
    let endpoint = match remote.setting("endpoint") {
        "" => format!("https://{account}.blob.core.windows.net"),
        endpoint => endpoint.to_owned(),
    };
    let builder = services::Azblob::default()
        .root(root)
        .container(remote.setting("container"))
        .endpoint(&endpoint)
        .account_name(account);
    Operator::new(if secrets.contains_key("sas_token") {
        builder.sas_token(text(secrets, "sas_token").trim_start_matches('?'))
    } else {
        builder.account_key(&text(secrets, "account_key"))
    })
}
