//! What the tools are told, and what their words mean.

use crate::host::{Host, Output, RealHost};
use crate::sources::mongodb::connection::{Access, server_of};
use crate::sources::mongodb::programs;
use crate::sources::mongodb::{catalogue::is_servers_own, connection::Login};
use std::path::Path;

fn said(stderr: &str) -> Output {
    Output { status: Some(0), timed_out: false, stdout: Vec::new(), stderr: stderr.into() }
}

#[test]
fn end_of_mongorestore_is_read_to_the_letter() {
    let line = "2026-11-21T04:28:01.047+0000\t350 document(s) restored successfully. 5 document(s) failed to restore.\n";
    assert_eq!(programs::restored(&said(line)), Some((350, 5)));
    assert_eq!(programs::restored(&said("2026-11-21T04:28:01.047+0000\tdone\n")), None);
}

#[test]
fn failure_is_what_the_tool_calls_one_and_has_no_password() {
    let access = access();
    let stderr = "2026-11-21T04:28:01.047+0000\tFailed: cannot log in with hunter2\n2026-11-21T04:28:01.047+0000\t0 document(s) restored successfully. 0 document(s) failed to restore.\n";
    let output = Output { status: Some(1), ..said(stderr) };
    assert_eq!(programs::explain(&access, &output), "exit status 1: Failed: cannot log in with [redacted]");
}

fn access() -> Access {
    let host = RealHost;
    let file = tempfile::NamedTempFile::new().expect("a file");
    host.write_atomic(file.path(), b"hunter2\n", 0o600).expect("written");
    let reference = crate::declared::SecretRef::File(file.path().to_path_buf());
    let password = crate::secrets::resolve(&host, "password", &reference).expect("resolved");
    let login = Login { user: "app".into(), password, source: "admin".into() };
    Access { url: "mongodb://h:1/?tls=true".into(), login: Some(login) }
}

#[test]
fn password_is_in_the_tools_file_and_in_no_argument() {
    let access = access();
    let config = programs::config(&access).expect("a file");
    let text = RealHost.read(config.path()).expect("its text");
    assert_eq!(String::from_utf8_lossy(&text), "uri: \"mongodb://h:1/?tls=true\"\npassword: \"hunter2\"\n");
    let program = Path::new("/bin/mongodump");
    let line = programs::dump(program, &access, &config, "-x").display();
    assert!(!line.contains("hunter2") && line.contains("--db=-x --archive"), "{line}");
    assert!(!format!("{access:?}").contains("hunter2"));
}

#[test]
fn collections_are_renamed_into_the_scratch_database_and_stars_in_names_are_no_patterns() {
    let access = Access::open("mongodb://h");
    let config = programs::config(&access).expect("a file");
    let line = programs::restore(Path::new("mongorestore"), &access, &config, ("a*b", "new")).display();
    assert!(line.contains("--nsFrom=a\\*b.* --nsTo=new.* --archive --stopOnError --objcheck"), "{line}");
    let line = programs::restore(Path::new("mongorestore"), &access, &config, ("admin", "new")).display();
    assert!(line.contains("--nsFrom=admin.system.* --nsTo=new.system_*"), "{line}");
    assert_eq!(programs::name_before("admin", "system_users"), "system.users");
    assert_eq!(programs::name_before("shop", "system_users"), "system_users");
}

#[test]
fn servers_own_collections_are_those_that_mongodump_leaves_out() {
    for (database, collection) in
        [("shop", "system.views"), ("shop", "system.buckets.x"), ("admin", "system.keys")]
    {
        assert!(is_servers_own(database, collection), "{collection}");
    }
    for (database, collection) in [("shop", "system.js"), ("shop", "orders"), ("admin", "system.users")] {
        assert!(!is_servers_own(database, collection), "{collection}");
    }
}

#[test]
fn server_is_named_without_options_and_scheme() {
    assert_eq!(server_of("mongodb://a:1,b/?replicaSet=rs"), "mongodb:a:1,b");
    assert_eq!(server_of("mongodb://%2Frun%2Fmongodb-27017.sock"), "mongodb:/run/mongodb-27017.sock");
}
