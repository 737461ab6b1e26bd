//! The protocols by which destinations are reached, each with its keys: the one list that the parser, the schema, the
//! renderer and the documentation are made from.

/// A protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Protocol {
    /// SFTP, by the host's own `ssh`.
    Sftp,
    /// rsync over ssh.
    Rsync,
    /// Amazon S3 and everything that speaks it.
    S3,
    /// Google Cloud Storage.
    Gcs,
    /// Azure Blob Storage.
    Azblob,
    /// Backblaze B2, by its own interface.
    B2,
    /// `WebDAV`, Nextcloud's and ownCloud's among them.
    Webdav,
    /// FTP and FTPS.
    Ftp,
    /// `OpenStack` Swift.
    Swift,
    /// Alibaba Cloud Object Storage Service.
    Oss,
    /// Tencent Cloud Object Storage.
    Cos,
    /// Huawei Cloud Object Storage Service.
    Obs,
    /// Dropbox.
    Dropbox,
    /// Google Drive.
    Gdrive,
    /// Microsoft `OneDrive`.
    Onedrive,
    /// Whatever `rclone` reaches.
    Rclone,
}

/// What may be written for a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyForm {
    /// Text on one line.
    Line,
    /// A folder at the destination; relative to the account's own where it does not begin with a `/`.
    Folder,
    /// A URL without credentials, with one of these schemes.
    Url(&'static [&'static str]),
    /// A port.
    Port,
    /// `true` or `false`.
    Flag,
    /// One of these words.
    Word(&'static [&'static str]),
    /// A reference to a secret.
    Secret,
    /// A reference to what is no secret, and is handed on like one.
    Reference,
}

/// A key of a protocol.
#[derive(Debug, Clone, Copy)]
pub struct ProtocolKey {
    /// The key.
    pub name: &'static str,
    /// What may be written.
    pub form: KeyForm,
    /// Whether it must be written.
    pub required: bool,
    /// What it is.
    pub help: &'static str,
}

const fn must(name: &'static str, form: KeyForm, help: &'static str) -> ProtocolKey {
    ProtocolKey { name, form, required: true, help }
}

const fn may(name: &'static str, form: KeyForm, help: &'static str) -> ProtocolKey {
    ProtocolKey { name, form, required: false, help }
}

const HTTP: KeyForm = KeyForm::Url(&["https://", "http://"]);
const BUCKET: ProtocolKey = must("bucket", KeyForm::Line, "The bucket.");
const FOLDER: ProtocolKey =
    may("path", KeyForm::Folder, "The folder in it that keeps snapshots. Default: its root.");
const ENDPOINT: ProtocolKey = must("endpoint", HTTP, "The service's address.");

const SSH: [ProtocolKey; 6] = [
    must("host", KeyForm::Line, "The host."),
    may("port", KeyForm::Port, "Its port. Default: ssh's."),
    may("user", KeyForm::Line, "Who logs in. Default: the job's user."),
    must("path", KeyForm::Folder, "The folder that keeps snapshots."),
    may("key", KeyForm::Secret, "The private key, without a passphrase. Default: the job's user's own keys."),
    may(
        "known_hosts",
        KeyForm::Reference,
        "The file with the host's public key. Any other key is refused. Default: the job's user's own.",
    ),
];

const S3: [ProtocolKey; 9] = [
    BUCKET,
    FOLDER,
    may(
        "provider",
        KeyForm::Word(&["aws", "r2", "b2", "wasabi", "spaces", "minio", "other"]),
        "Who offers it: what is known of each is put in. Default: aws.",
    ),
    may("endpoint", HTTP, "The service's address. Default: the provider's."),
    may("region", KeyForm::Line, "The region. Default: the provider's."),
    may("account", KeyForm::Line, "The account that is part of R2's address."),
    must("access_key_id", KeyForm::Secret, "The key's name."),
    must("secret_access_key", KeyForm::Secret, "The key."),
    may("session_token", KeyForm::Secret, "The token of a key that is lent for a time."),
];

const GCS: [ProtocolKey; 4] = [
    BUCKET,
    FOLDER,
    may("endpoint", HTTP, "The service's address. Default: Google's."),
    must("credential", KeyForm::Secret, "A service account's key, as JSON."),
];

const AZBLOB: [ProtocolKey; 6] = [
    must("container", KeyForm::Line, "The container."),
    FOLDER,
    must("account", KeyForm::Line, "The storage account."),
    may("endpoint", HTTP, "The service's address. Default: Azure's, by the account."),
    may("account_key", KeyForm::Secret, "The account's key."),
    may("sas_token", KeyForm::Secret, "A shared access signature, in the account key's place."),
];

const B2: [ProtocolKey; 5] = [
    BUCKET,
    must("bucket_id", KeyForm::Line, "The bucket's number."),
    FOLDER,
    must("application_key_id", KeyForm::Secret, "The key's name."),
    must("application_key", KeyForm::Secret, "The key."),
];

const WEBDAV: [ProtocolKey; 5] = [
    must("url", HTTP, "The address of the account's root."),
    FOLDER,
    may("user", KeyForm::Line, "Who logs in."),
    may("password", KeyForm::Secret, "The user's password, or an app's."),
    may("token", KeyForm::Secret, "A bearer token, in the place of user and password."),
];

const FTP: [ProtocolKey; 4] = [
    must("url", KeyForm::Url(&["ftps://", "ftp://"]), "The server. `ftp://` sends everything in the clear."),
    must("path", KeyForm::Folder, "The folder that keeps snapshots."),
    may("user", KeyForm::Line, "Who logs in. Default: anonymous."),
    may("password", KeyForm::Secret, "The user's password."),
];

const SWIFT: [ProtocolKey; 4] = [
    ENDPOINT,
    must("container", KeyForm::Line, "The container."),
    FOLDER,
    must("token", KeyForm::Secret, "The account's token."),
];

const OSS: [ProtocolKey; 5] = [
    BUCKET,
    FOLDER,
    ENDPOINT,
    must("access_key_id", KeyForm::Secret, "The key's name."),
    must("access_key_secret", KeyForm::Secret, "The key."),
];

const COS: [ProtocolKey; 5] = [
    BUCKET,
    FOLDER,
    ENDPOINT,
    must("secret_id", KeyForm::Secret, "The key's name."),
    must("secret_key", KeyForm::Secret, "The key."),
];

const OBS: [ProtocolKey; 5] = [
    BUCKET,
    FOLDER,
    ENDPOINT,
    must("access_key_id", KeyForm::Secret, "The key's name."),
    must("secret_access_key", KeyForm::Secret, "The key."),
];

const DRIVE: [ProtocolKey; 5] = [
    FOLDER,
    may("access_token", KeyForm::Secret, "A token that is valid for some hours: for runs by hand."),
    may("refresh_token", KeyForm::Secret, "What new access tokens are got with; needs the next two."),
    may("client_id", KeyForm::Secret, "The app's name."),
    may("client_secret", KeyForm::Secret, "The app's secret."),
];

const RCLONE: [ProtocolKey; 2] = [
    must("remote", KeyForm::Line, "rclone's name of the place, such as `box:backups`."),
    may("config", KeyForm::Secret, "rclone's configuration file. Default: the job's user's own."),
];

impl Protocol {
    /// All of them.
    pub const ALL: [Self; 16] = [
        Self::Sftp,
        Self::Rsync,
        Self::S3,
        Self::Gcs,
        Self::Azblob,
        Self::B2,
        Self::Webdav,
        Self::Ftp,
        Self::Swift,
        Self::Oss,
        Self::Cos,
        Self::Obs,
        Self::Dropbox,
        Self::Gdrive,
        Self::Onedrive,
        Self::Rclone,
    ];

    /// The word after `type:`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Sftp => "sftp",
            Self::Rsync => "rsync",
            Self::S3 => "s3",
            Self::Gcs => "gcs",
            Self::Azblob => "azblob",
            Self::B2 => "b2",
            Self::Webdav => "webdav",
            Self::Ftp => "ftp",
            Self::Swift => "swift",
            Self::Oss => "oss",
            Self::Cos => "cos",
            Self::Obs => "obs",
            Self::Dropbox => "dropbox",
            Self::Gdrive => "gdrive",
            Self::Onedrive => "onedrive",
            Self::Rclone => "rclone",
        }
    }

    /// What it is, for people.
    pub fn title(self) -> &'static str {
        match self {
            Self::Sftp => "A folder of another host, by SFTP.",
            Self::Rsync => "A folder of another host, by rsync over ssh.",
            Self::S3 => "A bucket of Amazon S3, or of anything that speaks its protocol.",
            Self::Gcs => "A bucket of Google Cloud Storage.",
            Self::Azblob => "A container of Azure Blob Storage.",
            Self::B2 => "A bucket of Backblaze B2, by its own interface.",
            Self::Webdav => "A folder of a WebDAV server, such as Nextcloud.",
            Self::Ftp => "A folder of an FTP or FTPS server.",
            Self::Swift => "A container of OpenStack Swift.",
            Self::Oss => "A bucket of Alibaba Cloud's object storage.",
            Self::Cos => "A bucket of Tencent Cloud's object storage.",
            Self::Obs => "A bucket of Huawei Cloud's object storage.",
            Self::Dropbox => "A folder of a Dropbox account.",
            Self::Gdrive => "A folder of a Google Drive.",
            Self::Onedrive => "A folder of a OneDrive.",
            Self::Rclone => "Whatever rclone reaches: the last resort.",
        }
    }

    /// Its own keys.
    pub fn keys(self) -> &'static [ProtocolKey] {
        match self {
            Self::Sftp | Self::Rsync => &SSH,
            Self::S3 => &S3,
            Self::Gcs => &GCS,
            Self::Azblob => &AZBLOB,
            Self::B2 => &B2,
            Self::Webdav => &WEBDAV,
            Self::Ftp => &FTP,
            Self::Swift => &SWIFT,
            Self::Oss => &OSS,
            Self::Cos => &COS,
            Self::Obs => &OBS,
            Self::Dropbox | Self::Gdrive | Self::Onedrive => &DRIVE,
            Self::Rclone => &RCLONE,
        }
    }

    /// Whether it is reached by a program of the host's.
    pub fn program(self) -> Option<&'static str> {
        match self {
            Self::Sftp => Some("ssh"),
            Self::Rsync => Some("rsync"),
            Self::Rclone => Some("rclone"),
            Self::S3
            | Self::Gcs
            | Self::Azblob
            | Self::B2
            | Self::Webdav
            | Self::Ftp
            | Self::Swift
            | Self::Oss
            | Self::Cos
            | Self::Obs
            | Self::Dropbox
            | Self::Gdrive
            | Self::Onedrive => None,
        }
    }

    /// Whether its server shows a certificate, so that an authority of one's own means something.
    pub fn has_certificates(self) -> bool {
        self.is_http() || self == Self::Ftp
    }

    /// Whether it is reached by HTTP, so that a proxy means something.
    pub fn is_http(self) -> bool {
        match self {
            Self::Sftp | Self::Rsync | Self::Rclone | Self::Ftp => false,
            Self::S3
            | Self::Gcs
            | Self::Azblob
            | Self::B2
            | Self::Webdav
            | Self::Swift
            | Self::Oss
            | Self::Cos
            | Self::Obs
            | Self::Dropbox
            | Self::Gdrive
            | Self::Onedrive => true,
        }
    }
}
