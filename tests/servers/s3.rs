//! moto, which speaks S3, with a bucket in it.

use super::{Server, free_port, installed};
use std::process::Command;

/// The bucket.
const BUCKET: &str = "box";

/// A server with a bucket.
#[derive(Debug)]
pub struct S3 {
    server: Server,
}

impl S3 {
    /// One that takes any credentials.
    pub fn start() -> Self {
        let port = free_port();
        let folder = tempfile::tempdir().expect("a folder");
        let mut command = Command::new(installed().join("venv/bin/moto_server"));
        command.args(["-H", "127.0.0.1", "-p", &port.to_string()]).current_dir(folder.path());
        command.env("AWS_EC2_METADATA_DISABLED", "true");
        let s3 = Self { server: Server::start(&mut command, port, folder) };
        assert_eq!(s3.ask("PUT", "/box", &[], "").0, 200, "{}", s3.server.log());
        s3
    }

    /// One that checks signatures from now on; with the name and the secret of its only key.
    pub fn start_with_keys() -> (Self, String, String) {
        let s3 = Self::start();
        let iam = |body: &str| {
            let scope = "AWS4-HMAC-SHA256 Credential=a/20260101/us-east-1/iam/aws4_request, Signature=x";
            let form = "application/x-www-form-urlencoded";
            let (status, answer) =
                s3.ask("POST", "/", &[("Authorization", scope), ("Content-Type", form)], body);
            assert_eq!(status, 200, "{body}: {answer}");
            answer
        };
        iam("Version=2010-05-08&Action=CreateUser&UserName=u");
        let policy = "%7B%22Version%22%3A%222012-10-17%22%2C%22Statement%22%3A%5B%7B%22Effect%22%3A%22Allow%22%2C\
            %22Action%22%3A%22s3%3A%2A%22%2C%22Resource%22%3A%22%2A%22%7D%5D%7D";
        iam(&format!(
            "Version=2010-05-08&Action=PutUserPolicy&UserName=u&PolicyName=p&PolicyDocument={policy}"
        ));
        let key = iam("Version=2010-05-08&Action=CreateAccessKey&UserName=u");
        let field = |name: &str| {
            let (_, rest) = key.split_once(&format!("<{name}>")).expect("the field");
            rest.split_once('<').expect("its end").0.to_owned()
        };
        let (name, secret) = (field("AccessKeyId"), field("SecretAccessKey"));
        assert_eq!(s3.ask("POST", "/moto-api/reset-auth", &[], "0").0, 200);
        (s3, name, secret)
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.server.port()
    }

    /// Its bucket.
    pub fn bucket(&self) -> &'static str {
        BUCKET
    }

    /// One request; status and body. It is signed for nobody: moto only wants to see that it is.
    pub fn ask(&self, method: &str, target: &str, headers: &[(&str, &str)], body: &str) -> (u16, String) {
        let signed = "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20260101/us-east-1/s3/aws4_request, \
            SignedHeaders=host, Signature=0";
        let mut headers = headers.to_vec();
        if !headers.iter().any(|(name, _)| *name == "Authorization") {
            headers.push(("Authorization", signed));
        }
        let headers = headers.as_slice();
        super::ask(&format!("http://127.0.0.1:{}{target}", self.port()), method, headers, body)
    }

    /// Begins an upload in pieces, gives it one, and leaves it so.
    pub fn leave_upload(&self, key: &str) {
        let (status, begun) = self.ask("POST", &format!("/{BUCKET}/{key}?uploads"), &[], "");
        assert_eq!(status, 200, "{begun}");
        let id = begun.split_once("<UploadId>").and_then(|(_, rest)| rest.split_once('<')).expect("an id").0;
        let part = format!("/{BUCKET}/{key}?partNumber=1&uploadId={id}");
        assert_eq!(self.ask("PUT", &part, &[], "half").0, 200);
    }

    /// Keys of uploads that did not come to their end.
    pub fn uploads(&self) -> Vec<String> {
        let (status, list) = self.ask("GET", &format!("/{BUCKET}?uploads"), &[], "");
        assert_eq!(status, 200, "{list}");
        list.split("<Key>").skip(1).map(|it| it.split('<').next().unwrap_or_default().to_owned()).collect()
    }

    /// Names of all objects.
    pub fn keys(&self) -> Vec<String> {
        let (status, list) = self.ask("GET", &format!("/{BUCKET}?list-type=2"), &[], "");
        assert_eq!(status, 200, "{list}");
        list.split("<Key>").skip(1).map(|it| it.split('<').next().unwrap_or_default().to_owned()).collect()
    }
}
