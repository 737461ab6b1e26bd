//! A set's source written again as YAML.

use super::{Map, named, path, secret, span, texts};
use crate::declared::{
    ChangedPolicy, CommandDeclaration, MemberChoice, MongodbDeclaration, MysqlDeclaration,
    PostgresDeclaration, QdrantDeclaration, RedisDeclaration, SourceDeclaration,
};
use std::path::PathBuf;

pub(super) fn source(declaration: &SourceDeclaration, map: &mut Map) {
    match declaration {
        SourceDeclaration::Files(files) => {
            map.put("paths", texts(&files.paths));
            if !files.exclude.is_empty() {
                map.put("exclude", texts(&files.exclude));
            }
            map.put("one_file_system", files.one_file_system);
            map.put("exclude_caches", files.exclude_caches);
            let changed = match files.changed {
                ChangedPolicy::Warn => "warn",
                ChangedPolicy::Fail => "fail",
            };
            map.put("changed", changed);
        }
        SourceDeclaration::Sqlite(sqlite) => {
            let files = sqlite.files.iter().map(|(member, it)| (member.as_str(), path(it).into()));
            map.put("files", named(files));
            map.put("max_lock", span(sqlite.max_lock));
        }
        SourceDeclaration::Postgres(postgres) => self::postgres(postgres, map),
        SourceDeclaration::Mysql(mysql) => self::mysql(mysql, map),
        SourceDeclaration::Mongodb(mongodb) => self::mongodb(mongodb, map),
        SourceDeclaration::Redis(redis) => self::redis(redis, map),
        SourceDeclaration::Qdrant(qdrant) => self::qdrant(qdrant, map),
        SourceDeclaration::Command(command) => self::command(command, map),
    }
}

fn line(map: &mut Map, key: &str, text: Option<&String>) {
    map.put_some(key, text.map(|it| it.as_str().into()));
}

fn file(map: &mut Map, key: &str, file: Option<&PathBuf>) {
    map.put_some(key, file.map(|it| path(it).into()));
}

fn choice(map: &mut Map, key: &str, choice: &MemberChoice) {
    match &choice.listed {
        None => map.put(key, "all"),
        Some(listed) => map.put(key, texts(listed)),
    }
    if !choice.ignore.is_empty() {
        let reasons = choice.ignore.iter().map(|(member, it)| (member.as_str(), it.as_str().into()));
        map.put("ignore", named(reasons));
    }
}

fn postgres(it: &PostgresDeclaration, map: &mut Map) {
    line(map, "host", it.host.as_ref());
    map.put_some("port", it.port.map(Into::into));
    line(map, "user", it.user.as_ref());
    line(map, "database", it.database.as_ref());
    line(map, "service", it.service.as_ref());
    file(map, "service_file", it.service_file.as_ref());
    file(map, "pass_file", it.pass_file.as_ref());
    map.put_some("password", it.password.as_ref().map(secret));
    line(map, "ssl_mode", it.ssl_mode.as_ref());
    file(map, "ssl_root_cert", it.ssl_root_cert.as_ref());
    choice(map, "databases", &it.databases);
    map.put("roles", it.roles.word());
    map.put_some("parallel", it.parallel.map(Into::into));
    map.put_some("lock_wait", it.lock_wait.map(span));
    map.put("drill", it.drill.word());
    file(map, "tools", it.tools.as_ref());
}

fn mysql(it: &MysqlDeclaration, map: &mut Map) {
    line(map, "host", it.host.as_ref());
    map.put_some("port", it.port.map(Into::into));
    file(map, "socket", it.socket.as_ref());
    line(map, "user", it.user.as_ref());
    map.put_some("password", it.password.as_ref().map(secret));
    file(map, "defaults_file", it.defaults_file.as_ref());
    file(map, "ssl_ca", it.ssl_ca.as_ref());
    choice(map, "databases", &it.databases);
    map.put_some("lock_wait", it.lock_wait.map(span));
    map.put("drill", it.drill.word());
    file(map, "tools", it.tools.as_ref());
}

fn mongodb(it: &MongodbDeclaration, map: &mut Map) {
    map.put("url", it.url.as_str());
    line(map, "user", it.user.as_ref());
    map.put_some("password", it.password.as_ref().map(secret));
    line(map, "auth_source", it.auth_source.as_ref());
    choice(map, "databases", &it.databases);
    line(map, "drill_url", it.drill_url.as_ref());
    file(map, "tools", it.tools.as_ref());
}

fn redis(it: &RedisDeclaration, map: &mut Map) {
    line(map, "host", it.host.as_ref());
    map.put_some("port", it.port.map(Into::into));
    file(map, "socket", it.socket.as_ref());
    line(map, "user", it.user.as_ref());
    map.put_some("password", it.password.as_ref().map(secret));
    file(map, "tools", it.tools.as_ref());
}

fn qdrant(it: &QdrantDeclaration, map: &mut Map) {
    map.put("url", it.url.as_str());
    if !it.nodes.is_empty() {
        map.put("nodes", texts(&it.nodes));
    }
    map.put_some("api_key", it.api_key.as_ref().map(secret));
    file(map, "ca", it.ca.as_ref());
    choice(map, "collections", &it.collections);
    line(map, "drill_url", it.drill_url.as_ref());
    map.put_some("drill_api_key", it.drill_api_key.as_ref().map(secret));
}

fn command(it: &CommandDeclaration, map: &mut Map) {
    map.put("command", texts(&it.command));
    map.put("extension", it.extension.as_str());
    line(map, "end_mark", it.end_mark.as_ref());
    map.put("min_bytes", it.bytes_min);
    map.put_some("drill", it.drill.as_deref().map(texts));
}
