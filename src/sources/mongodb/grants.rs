//! What the login may do, as the server says.
//!
//! Never here: a right inferred from a role's name. Roles are what people made of them.

use super::connection::{ANSWER, Connection, ConnectionError};
use mongodb::bson::{Bson, Document, doc};

/// What mongodump does with a database.
const DUMP: [&str; 3] = ["find", "listCollections", "listIndexes"];

/// Collections of `admin` that hold users and roles.
const USERS: [&str; 3] = ["system.users", "system.roles", "system.version"];

/// The rights of a login.
#[derive(Debug)]
pub(super) struct Grants {
    /// No login: the server asks for none, or has not been given one.
    pub anonymous: bool,
    privileges: Vec<Document>,
}

impl Grants {
    /// Asks the server.
    pub fn of(connection: &Connection) -> Result<Self, ConnectionError> {
        let command = doc! { "connectionStatus": 1, "showPrivileges": true };
        let answer = connection.command("admin", command, ANSWER)?;
        let unclear = || ConnectionError::Failed {
            command: "connectionStatus".into(),
            code: None,
            reason: "it says nothing of users".into(),
        };
        let status = answer.get_document("authInfo").map_err(|_| unclear())?;
        let users = status.get_array("authenticatedUsers").map_err(|_| unclear())?;
        let privileges = status.get_array("authenticatedUserPrivileges");
        if users.is_empty() {
            return Ok(Self { anonymous: true, privileges: Vec::new() });
        }
        let privileges = privileges.map_err(|_| unclear())?.iter();
        let privileges = privileges.filter_map(|it| it.as_document().cloned()).collect();
        Ok(Self { anonymous: false, privileges })
    }

    fn allow(&self, action: &str, database: &str, collection: &str) -> bool {
        let covers = |resource: &Document| {
            let named =
                |key: &str, value: &str| resource.get_str(key).is_ok_and(|it| it == value || it.is_empty());
            resource.get_bool("anyResource").unwrap_or(false)
                || named("db", database)
                    && match resource.get_str("collection") {
                        // An empty name stands for all collections but those of the system.
                        Ok("") => !collection.starts_with("system."),
                        Ok(name) => name == collection,
                        Err(_) => false,
                    }
        };
        self.privileges.iter().any(|privilege| {
            let actions = privilege.get_array("actions");
            let acts = actions.is_ok_and(|it| it.contains(&Bson::String(action.to_owned())));
            acts && privilege.get_document("resource").is_ok_and(covers)
        })
    }

    /// What a dump of a database needs and the login may not do, such as `find on shop`.
    pub fn missing(&self, database: &str) -> Vec<String> {
        if self.anonymous {
            return Vec::new();
        }
        let lacks = |action: &str, collection: &str| !self.allow(action, database, collection);
        let mut missing: Vec<String> = DUMP
            .into_iter()
            .filter(|action| lacks(action, ""))
            .map(|action| format!("`{action}` on `{database}`"))
            .collect();
        if database == "admin" {
            let hidden = USERS.into_iter().filter(|collection| lacks("find", collection));
            missing.extend(hidden.map(|collection| format!("`find` on `admin.{collection}`")));
        }
        missing
    }
}
