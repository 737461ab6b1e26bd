//! The schemas of sets whose source is a server or a program.

use super::texts::{Line, PathText};
use super::{Argv, Ignored, Secret, keys_of};
use crate::declared::{DrillPlace, RolePolicy, Span};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::Value;
use std::borrow::Cow;
use std::num::NonZeroU16;

/// The kinds: the word after `type:`, what it is, and its own keys.
pub(super) fn kinds(generator: &mut SchemaGenerator) -> Vec<(&'static str, &'static str, Value)> {
    vec![
        ("postgres", "The databases of a PostgreSQL server.", keys_of::<PostgresKeys>(generator)),
        ("mysql", "The schemas of a MySQL or MariaDB server.", keys_of::<MysqlKeys>(generator)),
        ("mongodb", "The databases of a MongoDB server.", keys_of::<MongodbKeys>(generator)),
        ("redis", "A Redis or Valkey server.", keys_of::<RedisKeys>(generator)),
        ("qdrant", "The collections of a Qdrant server.", keys_of::<QdrantKeys>(generator)),
        ("command", "A program's standard output.", keys_of::<CommandKeys>(generator)),
    ]
}

written_schema!(MemberNames, "MemberNames", |generator| {
    let line = generator.subschema_for::<Line>();
    json_schema!({
        "description": "`all`, or the names of those that are taken: every other one is then uncovered.",
        "anyOf": [
            { "const": "all" },
            { "type": "array", "items": line, "minItems": 1, "uniqueItems": true },
        ],
    })
});
written_schema!(HttpUrl, "HttpUrl", |_| json_schema!({
    "type": "string",
    "description": "A URL without credentials.",
    "pattern": "^https?://[^@\\s/?#]+([/?#]\\S*)?$",
}));
written_schema!(MongodbUrl, "MongodbUrl", |_| json_schema!({
    "type": "string",
    "description": "A connection string without credentials.",
    "pattern": "^mongodb(\\+srv)?://[^@\\s/?#]+([/?#]\\S*)?$",
}));
written_schema!(ExtensionText, "Extension", |_| json_schema!({
    "type": "string",
    "description": "a-z and 0-9, without the dot.",
    "pattern": "^[a-z0-9]+(\\.[a-z0-9]+)*$",
    "maxLength": 16,
}));
written_schema!(SslMode, "SslMode", |_| json_schema!({
    "description": "libpq's sslmode.",
    "enum": ["disable", "allow", "prefer", "require", "verify-ca", "verify-full"],
}));

document!(
    /// The keys of a `postgres` set.
    PostgresKeys {
        /// A host name, an address, or the folder of its socket. Default: libpq's.
        host: Option<Line>,
        /// Its port. Default: libpq's.
        port: Option<NonZeroU16>,
        /// The role to log in as. Default: the job's user.
        user: Option<Line>,
        /// The database to ask for the others. Default: postgres.
        database: Option<Line>,
        /// A service of libpq's service file.
        service: Option<Line>,
        /// The service file. Default: libpq's.
        service_file: Option<PathText>,
        /// libpq's password file, with mode 0600. Default: libpq's.
        pass_file: Option<PathText>,
        /// The role's password.
        password: Option<Secret>,
        /// libpq's `sslmode`.
        ssl_mode: Option<SslMode>,
        /// The authority that the server's certificate is checked against.
        ssl_root_cert: Option<PathText>,
        /// Which databases. Default: all.
        databases: Option<MemberNames>,
        /// Databases that are left out, each with the reason.
        ignore: Option<Ignored>,
        /// Whether roles and tablespaces are dumped, and with their password hashes. Default: without-passwords.
        roles: Option<RolePolicy>,
        /// Workers of a parallel dump in directory format, which takes room in scratch. Default: one stream.
        #[schemars(range(min = 1, max = 64))]
        parallel: Option<u32>,
        /// How long a dump waits for a table's lock. Default: 60s.
        lock_wait: Option<Span>,
        /// Where drills restore to. Default: auto: a server of its own where its programs are installed.
        drill: Option<DrillPlace>,
        /// The folder of `pg_dump` and its kin. Default: the job's PATH.
        tools: Option<PathText>,
    }
);

document!(
    /// The keys of a `mysql` set.
    MysqlKeys {
        /// A host name or an address.
        host: Option<Line>,
        /// Its port.
        port: Option<NonZeroU16>,
        /// Its socket.
        socket: Option<PathText>,
        /// The account to log in as. Default: what the client's own files say, else the job's user.
        user: Option<Line>,
        /// The account's password.
        password: Option<Secret>,
        /// An option file of the client's, with mode 0600, read before anything else.
        defaults_file: Option<PathText>,
        /// The authority that the server's certificate is checked against.
        ssl_ca: Option<PathText>,
        /// Which schemas. Default: all.
        databases: Option<MemberNames>,
        /// Schemas that are left out, each with the reason.
        ignore: Option<Ignored>,
        /// How long a run waits for the read lock that makes counts exact, and the longest that it holds it. Default: 5s.
        lock_wait: Option<Span>,
        /// Where drills restore to. Default: auto: a server of its own where its programs are installed.
        drill: Option<DrillPlace>,
        /// The folder of the client programs. Default: the job's PATH.
        tools: Option<PathText>,
    }
);

document!(
    /// The keys of a `mongodb` set.
    MongodbKeys {
        /// Where the server or replica set is.
        url: MongodbUrl,
        /// The user to log in as.
        user: Option<Line>,
        /// The user's password.
        password: Option<Secret>,
        /// The database that knows the user. Default: admin.
        auth_source: Option<Line>,
        /// Which databases. Default: all.
        databases: Option<MemberNames>,
        /// Databases that are left out, each with the reason.
        ignore: Option<Ignored>,
        /// Another server that drills restore to. Default: a scratch database of the same server.
        drill_url: Option<MongodbUrl>,
        /// The folder of mongodump and mongorestore. Default: the job's PATH.
        tools: Option<PathText>,
    }
);

document!(
    /// The keys of a `redis` set.
    RedisKeys {
        /// A host name or an address. Default: 127.0.0.1.
        host: Option<Line>,
        /// Its port. Default: 6379.
        port: Option<NonZeroU16>,
        /// Its socket.
        socket: Option<PathText>,
        /// The ACL user. Default: default.
        user: Option<Line>,
        /// The user's password.
        password: Option<Secret>,
        /// The folder of redis-server, for drills. Default: the job's PATH.
        tools: Option<PathText>,
    }
);

document!(
    /// The keys of a `qdrant` set.
    QdrantKeys {
        /// Where the server is.
        url: HttpUrl,
        /// Every other node of its cluster.
        #[schemars(length(min = 1))]
        nodes: Option<Vec<HttpUrl>>,
        /// The API key.
        api_key: Option<Secret>,
        /// The authority that the server's certificate is checked against. Default: the system's.
        ca: Option<PathText>,
        /// Which collections. Default: all.
        collections: Option<MemberNames>,
        /// Collections that are left out, each with the reason.
        ignore: Option<Ignored>,
        /// Another server that drills restore to. Default: a scratch collection of the same server.
        drill_url: Option<HttpUrl>,
        /// The API key of that server.
        drill_api_key: Option<Secret>,
    }
);

document!(
    /// The keys of a `command` set.
    CommandKeys {
        /// The program whose standard output is the backup, and its arguments.
        command: Argv,
        /// The artifact's extension. Default: out.
        extension: Option<ExtensionText>,
        /// What must stand in the last lines of a complete output.
        end_mark: Option<Line>,
        /// The fewest bytes of a complete output. Default: 1.
        min_bytes: Option<u32>,
        /// A program that gets the artifact on its standard input in a drill and must end with status 0.
        drill: Option<Argv>,
    }
);
