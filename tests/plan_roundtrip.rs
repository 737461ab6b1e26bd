//! Properties of the plan file: what is written is read again and means the same, and nothing makes the parser panic.

use bkp::declared::{
    self, AuditDeclaration, ChangedPolicy, CommandDeclaration, Compression, Defaults, DestinationDeclaration,
    DestinationKind, DestinationName, DiscoverDeclaration, DrillPlace, Encryption, FilesDeclaration,
    Identity, IoClass, JobPolicy, KeyForm, LocalDeclaration, Lock, MemberChoice, MongodbDeclaration,
    MysqlDeclaration, NodeName, Pause, Plan, PlanName, PostgresDeclaration, Protocol, ProvePolicy,
    QdrantDeclaration, RedisDeclaration, RemoteDeclaration, Require, RetentionPolicy, RolePolicy, Schedule,
    SchedulerChoice, Scope, SecretRef, SetDeclaration, SetName, SetRetention, SourceDeclaration, Span,
    SqliteDeclaration, TimeZoneName, Transport,
};
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

fn parse(text: &str) -> Result<Plan, String> {
    declared::parse_text("generated.yaml", text, Path::new("/srv/plan"), Path::new("/home/ada"))
        .map(|loaded| loaded.plan)
        .map_err(|errors| errors.report(false))
}

fn line() -> impl Strategy<Value = String> {
    let awkward = select(vec![
        "yes",
        "~",
        "null",
        "1e3",
        "0x1f",
        "<<",
        "- a",
        "a: b",
        "# c",
        "*a",
        "&a",
        "'",
        "\"",
        "|",
        "2026-11-20",
    ]);
    prop_oneof![
        awkward.prop_map(str::to_owned),
        "[^\\p{Cc}]{1,12}"
            .prop_filter("not empty", |it| it.chars().any(|it| !it.is_whitespace() && it != '\u{feff}'))
    ]
}

/// A member's name; `<<` is a merge key, so no plan file can name a member that.
fn member() -> impl Strategy<Value = String> {
    line().prop_filter("no merge key", |it| it != "<<")
}

fn name() -> impl Strategy<Value = String> {
    "[a-z0-9][a-z0-9-]{0,6}"
        .prop_filter("not reserved", |it| !it.starts_with("audit") && !it.starts_with("try-"))
}

fn span() -> impl Strategy<Value = Span> {
    (1_u64..100_000_000).prop_map(Span::from_seconds)
}

fn schedule() -> impl Strategy<Value = Schedule> {
    let texts = vec![
        "hourly",
        "every 4h",
        "every 90m",
        "daily 03:00",
        "weekly sun 23:59",
        "monthly 28 00:00",
        "cron 0 3 * * 1-5",
        "cron */15 1,2 13 * *",
    ];
    select(texts).prop_map(|it| it.parse().expect("a schedule"))
}

fn timezone() -> impl Strategy<Value = TimeZoneName> {
    select(vec!["UTC", "Europe/Berlin", "America/St_Johns"])
        .prop_map(|it| it.to_owned().try_into().expect("a zone"))
}

fn count() -> impl Strategy<Value = Option<u32>> {
    option::of(any::<u32>())
}

fn retention() -> impl Strategy<Value = RetentionPolicy> {
    (1_u32.., count(), count(), count(), count(), count(), option::of(span())).prop_map(
        |(last, hourly, daily, weekly, monthly, yearly, within)| RetentionPolicy {
            last: Some(last),
            hourly,
            daily,
            weekly,
            monthly,
            yearly,
            within,
            by: None,
        },
    )
}

fn compression() -> impl Strategy<Value = Compression> {
    select(vec![Compression::Zstd, Compression::Gzip, Compression::None])
}

fn prove() -> impl Strategy<Value = ProvePolicy> {
    (option::of(span()), option::of(span())).prop_map(|(intact, restored)| ProvePolicy { intact, restored })
}

/// Any name that a path may have, below a folder that no destination is in.
fn path() -> impl Strategy<Value = PathBuf> {
    line()
        .prop_filter("a name", |it| !it.contains('/') && it != "." && it != "..")
        .prop_map(|it| Path::new("/data").join(it))
}

fn pattern() -> impl Strategy<Value = String> {
    prop_oneof![
        "/data/[a-zA-Z ]{1,5}".prop_map(|it| it),
        select(vec!["/data/*.json", "/data/**/x", "/data/[ab]"]).prop_map(str::to_owned),
    ]
}

fn source() -> impl Strategy<Value = SourceDeclaration> {
    let changed = select(vec![ChangedPolicy::Warn, ChangedPolicy::Fail]);
    let exclude = vec(prop_oneof![pattern(), "[a-z*]{1,5}"], 0..3);
    let files = (vec(pattern(), 1..3), exclude, any::<bool>(), any::<bool>(), changed);
    let files = files.prop_map(|(paths, exclude, one_file_system, exclude_caches, changed)| {
        SourceDeclaration::Files(FilesDeclaration {
            paths,
            exclude,
            one_file_system,
            exclude_caches,
            changed,
        })
    });
    let sqlite = (btree_map(member(), path(), 1..3), span())
        .prop_map(|(files, max_lock)| SourceDeclaration::Sqlite(SqliteDeclaration { files, max_lock }));
    // Boxed: the values of all kinds side by side are more than a test's stack holds.
    prop_oneof![2 => files.boxed(), 2 => sqlite.boxed(), 1 => database().boxed(), 1 => other_server().boxed()]
        .boxed()
}

fn choice() -> impl Strategy<Value = MemberChoice> {
    let names = vec(member(), 1..4).prop_map(|names| {
        let once: std::collections::BTreeSet<String> = names.into_iter().collect();
        once.into_iter().collect::<Vec<_>>()
    });
    (option::of(names), btree_map(member(), line(), 0..3)).prop_map(|(listed, mut ignore)| {
        ignore.retain(|name, _| !listed.iter().flatten().any(|it| it == name));
        MemberChoice { listed, ignore }
    })
}

fn drill_place() -> impl Strategy<Value = DrillPlace> {
    select(vec![DrillPlace::Auto, DrillPlace::Own, DrillPlace::Server])
}

fn database() -> impl Strategy<Value = SourceDeclaration> {
    let roles = select(vec![RolePolicy::WithoutPasswords, RolePolicy::WithPasswords, RolePolicy::None]);
    let reached = (option::of(line()), option::of(1_u16..), option::of(line()), option::of(secret()));
    let more = (option::of(1_u32..64), option::of(span()), drill_place(), option::of(path()));
    let postgres = (reached, choice(), roles, more, option::of(path())).prop_map(
        |((host, port, user, password), databases, roles, (parallel, lock_wait, drill, tools), file)| {
            SourceDeclaration::Postgres(PostgresDeclaration {
                host,
                port,
                database: user.clone(),
                service: user.clone(),
                user,
                service_file: file.clone(),
                pass_file: if password.is_none() { file.clone() } else { None },
                password,
                ssl_mode: drill.word().starts_with('a').then(|| "verify-full".to_owned()),
                ssl_root_cert: file,
                databases,
                roles,
                parallel,
                lock_wait,
                drill,
                tools,
            })
        },
    );
    let reached = (option::of(line()), option::of(1_u16..), option::of(path()), option::of(secret()));
    let mysql = (reached, choice(), option::of(line()), drill_place(), option::of(path())).prop_map(
        |((host, port, socket, password), databases, user, drill, file)| {
            let by_host = host.is_some() || port.is_some();
            SourceDeclaration::Mysql(MysqlDeclaration {
                host,
                port,
                socket: if by_host { None } else { socket },
                user,
                defaults_file: if password.is_none() { file.clone() } else { None },
                password,
                ssl_ca: file.clone(),
                databases,
                lock_wait: None,
                drill,
                tools: file,
            })
        },
    );
    prop_oneof![postgres.boxed(), mysql.boxed()]
}

fn other_server() -> impl Strategy<Value = SourceDeclaration> {
    let file = || option::of(path());
    let login = || option::of((line(), secret()));
    let mongodb =
        (choice(), login(), option::of(line()), file()).prop_map(|(databases, login, auth_source, tools)| {
            let (user, password) = login.unzip();
            SourceDeclaration::Mongodb(MongodbDeclaration {
                url: "mongodb://a:27017,b/?replicaSet=r".to_owned(),
                user,
                password,
                drill_url: auth_source.as_ref().map(|_| "mongodb://127.0.0.1:27018".to_owned()),
                auth_source,
                databases,
                tools,
            })
        });
    let redis =
        (option::of(line()), option::of(1_u16..), login(), file()).prop_map(|(host, port, login, file)| {
            let (user, password) = login.unzip();
            let by_host = host.is_some() || port.is_some();
            let socket = if by_host { None } else { file.clone() };
            SourceDeclaration::Redis(RedisDeclaration { host, port, socket, user, password, tools: file })
        });
    let qdrant = (choice(), option::of(secret()), file()).prop_map(|(collections, api_key, ca)| {
        SourceDeclaration::Qdrant(QdrantDeclaration {
            url: "https://q.internal:6333".to_owned(),
            nodes: if ca.is_some() { vec!["https://r.internal:6333".to_owned()] } else { Vec::new() },
            drill_url: api_key.as_ref().map(|_| "http://127.0.0.1:6335".to_owned()),
            drill_api_key: api_key.clone(),
            api_key,
            ca,
            collections,
        })
    });
    let command = (argv(), option::of(line()), any::<u32>(), option::of(argv())).prop_map(
        |(command, end_mark, bytes_min, drill)| {
            let (extension, bytes_min) = ("ldif.v2".to_owned(), bytes_min.into());
            SourceDeclaration::Command(CommandDeclaration { command, extension, end_mark, bytes_min, drill })
        },
    );
    prop_oneof![mongodb.boxed(), redis.boxed(), qdrant.boxed(), command.boxed()]
}

fn argv() -> impl Strategy<Value = Vec<String>> {
    let argument =
        prop_oneof![line(), Just(String::new()), Just("a\nb\n  c".to_owned()), Just("\t".to_owned())];
    ("(/usr/bin/)?[a-z]{1,5}", vec(argument, 0..3))
        .prop_map(|(program, arguments)| std::iter::once(program).chain(arguments).collect())
}

fn secret() -> impl Strategy<Value = SecretRef> {
    prop_oneof![
        path().prop_map(SecretRef::File),
        "[a-z.]{2,5}x".prop_map(SecretRef::Credential),
        argv().prop_map(SecretRef::Command),
        "[A-Z_]{1,5}".prop_map(SecretRef::Env),
    ]
}

fn pause() -> impl Strategy<Value = Pause> {
    (1_i16..9999, 1_i8..13, 1_i8..29, line())
        .prop_map(|(year, month, day, reason)| Pause { until: jiff::civil::date(year, month, day), reason })
}

fn job_policy() -> impl Strategy<Value = JobPolicy> {
    let sizes = select(vec!["1MiB", "512MiB", "3GiB"]).prop_map(|it| it.parse().expect("a size"));
    let users = select(vec!["backup", "_bkp", "Ada.L"]).prop_map(|it| it.parse().expect("a user"));
    let hours = select(vec!["08:00-18:00", "22:30-06:00"]).prop_map(|it| it.parse().expect("hours"));
    let io_class = select(vec![IoClass::BestEffort, IoClass::Idle]);
    let not_before = select(vec!["2027-01-31T00:00:00", "2027-01-31T18:05:00"])
        .prop_map(|it| it.parse().expect("a local time"));
    let limits = (option::of(users), option::of(span()), option::of(sizes), option::of(0_u8..20));
    let times = (option::of(any::<bool>()), option::of(vec(hours, 1..3)), option::of(not_before));
    (limits, option::of(io_class), times).prop_map(
        |((run_as, stall_limit, memory_limit, nice), io_class, (power, quiet_hours, not_before))| JobPolicy {
            run_as,
            stall_limit,
            memory_limit,
            nice,
            io_class,
            require_ac_power: power,
            quiet_hours,
            not_before,
        },
    )
}

fn set(destinations: Vec<DestinationName>) -> impl Strategy<Value = SetDeclaration> {
    let used = subsequence(destinations.clone(), 1..=destinations.len()).prop_shuffle();
    let policy =
        (option::of(schedule()), option::of(timezone()), option::of(used), option::of(compression()));
    let ages = (option::of(prove()), option::of(span()), option::of(span()), option::of(require()));
    let retention = (0_u8..3, retention());
    let hooks = (vec(argv(), 0..3), vec(argv(), 0..2));
    let rest = (btree_map("[A-Z][A-Z0-9_]{0,5}", secret(), 0..3), option::of(pause()), job_policy());
    (source(), policy, ages, retention, hooks, rest).prop_map(
        move |(source, policy, ages, retention, (before, after), (secrets, pause, job))| {
            let (schedule, timezone, used, compression) = policy;
            let of = used.as_ref().unwrap_or(&destinations);
            let retention = match retention {
                (0, _) => None,
                (1, policy) => Some(SetRetention::Every(policy)),
                (_, policy) => Some(SetRetention::ByDestination(BTreeMap::from([(of[0].clone(), policy)]))),
            };
            SetDeclaration {
                source,
                schedule,
                timezone,
                destinations: used,
                retention,
                compression,
                prove: ages.0,
                time_limit: ages.1,
                grace: ages.2,
                require: ages.3,
                job,
                before,
                after,
                secrets,
                pause,
            }
        },
    )
}

fn defaults(destinations: Vec<DestinationName>) -> impl Strategy<Value = Defaults> {
    // Every generated set may rely on these two.
    let schedule = schedule().prop_map(Some);
    let rest = (option::of(retention()), option::of(compression()), option::of(prove()));
    (schedule, option::of(timezone()), rest, option::of(span()), option::of(span())).prop_map(
        move |(schedule, timezone, (retention, compression, prove), time_limit, grace)| Defaults {
            schedule,
            timezone,
            destinations: Some(destinations.clone()),
            retention,
            compression,
            prove,
            require: None,
            time_limit,
            grace,
            job: JobPolicy::default(),
        },
    )
}

/// Keys of a protocol, each of the form that its table says; which belong together only the parser knows.
fn remote() -> impl Strategy<Value = RemoteDeclaration> {
    let table = (select(Protocol::ALL.to_vec()), line(), secret(), 1_u16.., any::<bool>());
    let transport = (option::of(1_u32..4000), option::of(span()), option::of(0_u32..=20), any::<bool>());
    (table, transport).prop_map(|((protocol, text, secret, port, more), (rate, timeout, retries, http))| {
        let (mut settings, mut secrets) = (BTreeMap::new(), BTreeMap::new());
        // One of two ways in, and the endpoint that every provider of S3 is content with.
        let never = ["account_key", "access_token", "token", "session_token"];
        let always =
            ["path", "endpoint", "region", "sas_token", "refresh_token", "client_id", "client_secret"];
        for key in protocol.keys() {
            let wanted = key.required || always.contains(&key.name) || (more && !never.contains(&key.name));
            if !wanted {
                continue;
            }
            let setting = match key.form {
                KeyForm::Secret | KeyForm::Reference => {
                    secrets.insert(key.name, secret.clone());
                    continue;
                }
                // Options of a connection string are refused.
                KeyForm::Line if protocol == Protocol::Rclone => text.replace(',', ""),
                KeyForm::Line => text.clone(),
                KeyForm::Folder => "/srv/kept".to_owned(),
                KeyForm::Url(schemes) => format!("{}box.example/a", schemes[0]),
                KeyForm::Port => port.to_string(),
                KeyForm::Flag => more.to_string(),
                KeyForm::Word(words) => words[usize::from(port) % words.len()].to_owned(),
            };
            settings.insert(key.name, setting);
        }
        let http = http && protocol.is_http();
        let transport = Transport {
            limit_rate: rate.map(|it| format!("{it}MiB").parse().expect("a size")),
            timeout,
            retries,
            proxy: http.then(|| "http://proxy.example:3128".to_owned()),
            ca: http.then(|| PathBuf::from("/etc/ssl/own.pem")),
        };
        RemoteDeclaration { protocol, settings, secrets, transport }
    })
}

fn encryption() -> impl Strategy<Value = Encryption> {
    let recipient = "age15fuxllnku3tdch3jdvqdz635dedym6puv5990wmxaxsaafxluvds6ng3d4".to_owned();
    let identity = prop_oneof![secret().prop_map(Identity::Here), line().prop_map(Identity::Elsewhere)];
    prop_oneof![
        identity.prop_map(move |identity| Encryption {
            lock: Lock::Recipients(vec![recipient.clone()]),
            identity
        }),
        secret().prop_map(|it| Encryption { lock: Lock::Passphrase(it), identity: Identity::Passphrase }),
    ]
}

fn require() -> impl Strategy<Value = Require> {
    (0_u32..2, option::of(0_u32..2)).prop_map(|(copies, off_host)| Require { copies: Some(copies), off_host })
}

fn destination() -> impl Strategy<Value = DestinationDeclaration> {
    let policy =
        (option::of(retention()), option::of(compression()), option::of(prove()), option::of(line()));
    (policy, option::of(remote()), option::of(encryption())).prop_map(
        |((retention, compression, prove, failure_domain), remote, encryption)| {
            // Local ones are told apart by name, below.
            let local = || DestinationKind::Local(LocalDeclaration { path: PathBuf::new() });
            DestinationDeclaration {
                retention,
                compression,
                prove,
                failure_domain,
                encryption,
                ..DestinationDeclaration::new(
                    remote.map_or_else(local, |it| DestinationKind::Remote(Box::new(it))),
                )
            }
        },
    )
}

fn destinations() -> impl Strategy<Value = BTreeMap<DestinationName, DestinationDeclaration>> {
    let name = prop_oneof![name(), select(vec!["last", "within", "local"]).prop_map(str::to_owned)];
    btree_map(name, destination(), 1..4).prop_map(|map| {
        let entries = map.into_iter().map(|(name, mut declaration)| {
            match &mut declaration.kind {
                DestinationKind::Local(local) => local.path = Path::new("/kept").join(&name),
                DestinationKind::Remote(remote) => {
                    for key in ["path", "bucket", "container", "remote"] {
                        if let Some(setting) = remote.settings.get_mut(key) {
                            *setting = format!("kept/{name}");
                        }
                    }
                }
            }
            (name.parse().expect("a name"), declaration)
        });
        entries.collect()
    })
}

fn plan() -> impl Strategy<Value = Plan> {
    destinations().prop_flat_map(|destinations| {
        let names: Vec<DestinationName> = destinations.keys().cloned().collect();
        let sets = btree_map(name(), set(names.clone()), 1..4);
        let head = (name(), option::of(vec("[a-z.]{1,8}", 1..3)), option::of(line()));
        let schedulers = vec![SchedulerChoice::Auto, SchedulerChoice::Systemd, SchedulerChoice::Embedded];
        let choices = (select(schedulers), option::of(select(vec![Scope::System, Scope::User])));
        let discover = (vec(path(), 0..3), vec(path(), 0..3), btree_map(path(), line(), 0..3));
        (head, choices, defaults(names), sets, option::of(schedule()), discover, any::<bool>()).prop_map(
            move |(head, (scheduler, scope), defaults, sets, audit, (sqlite, scripts, ignore), moved)| {
                let sets: BTreeMap<SetName, SetDeclaration> =
                    sets.into_iter().map(|(name, set)| (name.parse().expect("a name"), set)).collect();
                let (name, hosts, node) = head;
                let first = sets.keys().next().expect("at least one").clone();
                let hosts = hosts.map(|mut it| {
                    it.sort();
                    it.dedup();
                    it
                });
                let ignore =
                    ignore.into_iter().map(|(path, it)| (format!("sqlite:{}", path.display()), it)).collect();
                Plan {
                    name: PlanName::try_from(name).expect("a name"),
                    hosts,
                    node: node.map(|it| NodeName::try_from(it).expect("a name")),
                    scheduler,
                    scope,
                    max_parallel: audit.is_some().then_some(3),
                    defaults,
                    destinations: destinations.clone(),
                    sets,
                    audit: audit.map(|schedule| AuditDeclaration { schedule }),
                    discover: DiscoverDeclaration { sqlite, scripts, ignore },
                    moved: if moved {
                        BTreeMap::from([("a-much-longer-name".parse().expect("a name"), first)])
                    } else {
                        BTreeMap::new()
                    },
                }
            },
        )
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, max_shrink_iters: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_rendered_is_read_again(plan in plan()) {
        let text = declared::render(&plan);
        let again = parse(&text).map_err(|report| TestCaseError::fail(format!("{report}\n{text}")))?;
        prop_assert_eq!(&again, &plan, "{}", text);
        prop_assert_eq!(declared::render(&again), text);
    }

    #[test]
    fn a_set_alone_is_a_plan_and_keeps_its_digest(plan in plan()) {
        for name in plan.sets.keys() {
            let alone = plan.only(name).expect("a set of the plan");
            let text = declared::render(&alone);
            let again = parse(&text).map_err(|report| TestCaseError::fail(format!("{report}\n{text}")))?;
            prop_assert_eq!(&again, &alone, "{}", text);
            let digest = declared::set_digest(&plan, name);
            prop_assert!(digest.is_some());
            prop_assert_eq!(declared::set_digest(&again, name), digest);
        }
    }

    #[test]
    fn the_schema_accepts_what_is_rendered(plan in plan()) {
        let text = declared::render(&plan);
        let value: serde_json::Value = serde_yaml::from_str(&text).expect("YAML");
        let validator = jsonschema::validator_for(&declared::json_schema()).expect("the schema is one");
        let complaints: Vec<String> =
            validator.iter_errors(&value).map(|it| format!("{}: {it}", it.instance_path())).collect();
        prop_assert!(complaints.is_empty(), "{:#?}\n{}", complaints, text);
    }

    #[test]
    fn a_damaged_plan_is_read_or_refused_with_places_inside_its_text(
        plan in plan(),
        position in any::<prop::sample::Index>(),
        patch in "[ -~\n\t\u{85}é{}:&*!|>'\"#-]{0,4}",
    ) {
        let mut text = declared::render(&plan);
        let mut at = position.index(text.len());
        while !text.is_char_boundary(at) {
            at -= 1;
        }
        text.replace_range(at..at, &patch);
        if let Err(errors) = declared::parse_text("x.yaml", &text, Path::new("/srv"), Path::new("/home/ada")) {
            prop_assert!(!errors.diagnostics().is_empty());
            for diagnostic in errors.diagnostics() {
                if let Some(place) = &diagnostic.place {
                    prop_assert!(text.get(place.start..place.start + place.length).is_some(), "{:?}", diagnostic);
                }
            }
            prop_assert!(!errors.report(false).is_empty());
        }
    }

    #[test]
    fn any_text_is_read_or_refused(bytes in vec(any::<u8>(), 0..200)) {
        let text = String::from_utf8_lossy(&bytes);
        prop_assert!(parse(&text).is_err_and(|report| !report.is_empty()));
    }

    #[test]
    fn any_yaml_like_text_is_read_or_refused(text in "[a-c:{}\\[\\],&*<!|>'\"# \n?-]{0,60}") {
        prop_assert!(parse(&text).is_err_and(|report| !report.is_empty()));
    }
}
