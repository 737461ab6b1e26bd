//! The parts that a scene is built of.

use super::{PLAN_TEXT, local, set};
use crate::decide::world::WantedJob;
use crate::declared::{
    AuditDeclaration, Compression, Defaults, DestinationDeclaration, DestinationKind, DiscoverDeclaration,
    LocalDeclaration, Plan, Protocol, RemoteDeclaration, RetentionPolicy, SchedulerChoice, Scope, SecretRef,
    SetDeclaration, SourceDeclaration, Span, SqliteDeclaration, Transport,
};
use crate::format::{Counts, Digest, Manifest, ManifestMember, SnapshotId, StoredSize, Trigger};
use crate::host::Space;
use crate::observed::{
    BinaryFacts, DestinationFacts, Enablement, Fact, Facts, HostFacts, InstalledFile, InstalledJob,
    InstalledPlan, JobMarker, JobName, JournalFacts, MemberFacts, Observed, PlanOrigin, SchedulerFacts,
    SchedulerKind, ServiceState, SourceFacts, TimerState,
};
use jiff::{SignedDuration, Timestamp};
use std::collections::BTreeMap;
use std::path::PathBuf;

pub(crate) fn declaration(path: &str) -> SetDeclaration {
    SetDeclaration {
        source: SourceDeclaration::Sqlite(SqliteDeclaration {
            files: BTreeMap::from([("orders".to_owned(), PathBuf::from(path))]),
            max_lock: Span::from_seconds(5),
        }),
        schedule: None,
        timezone: None,
        destinations: None,
        retention: None,
        compression: None,
        prove: None,
        require: None,
        time_limit: None,
        grace: None,
        job: crate::declared::JobPolicy::default(),
        before: Vec::new(),
        after: Vec::new(),
        secrets: BTreeMap::new(),
        pause: None,
    }
}

pub(crate) fn destination_declaration(path: &str) -> DestinationDeclaration {
    DestinationDeclaration::new(DestinationKind::Local(LocalDeclaration { path: PathBuf::from(path) }))
}

pub(crate) fn remote_declaration(
    protocol: Protocol,
    settings: &[(&'static str, &str)],
    secrets: &[(&'static str, &str)],
) -> DestinationDeclaration {
    let file = |path: &str| SecretRef::File(PathBuf::from(path));
    DestinationDeclaration::new(DestinationKind::Remote(Box::new(RemoteDeclaration {
        protocol,
        settings: settings.iter().map(|(key, it)| (*key, (*it).to_owned())).collect(),
        secrets: secrets.iter().map(|(key, it)| (*key, file(it))).collect(),
        transport: Transport::default(),
    })))
}

pub(super) fn plan() -> Plan {
    Plan {
        name: "shop".parse().expect("a name"),
        hosts: Some(vec!["observatory".to_owned()]),
        node: None,
        scheduler: SchedulerChoice::Auto,
        scope: None,
        max_parallel: None,
        defaults: Defaults {
            schedule: "daily 03:00".parse().ok(),
            destinations: Some(vec![local()]),
            retention: Some(RetentionPolicy { last: Some(7), ..RetentionPolicy::default() }),
            ..Defaults::default()
        },
        destinations: BTreeMap::from([(local(), destination_declaration("/var/backups/bkp"))]),
        sets: BTreeMap::from([(set(), declaration("/srv/orders.db"))]),
        audit: Some(AuditDeclaration { schedule: "hourly".parse().expect("a schedule") }),
        discover: DiscoverDeclaration {
            sqlite: vec![PathBuf::from("/srv")],
            ..DiscoverDeclaration::default()
        },
        moved: BTreeMap::new(),
    }
}

pub(super) fn facts(now: Timestamp) -> Facts {
    let binary = PathBuf::from("/usr/local/bin/bkp");
    let host = HostFacts {
        name: "observatory".to_owned(),
        uid: 0,
        user: "root".to_owned(),
        home: PathBuf::from("/root"),
        time_zone: Some(crate::declared::TimeZoneName::default()),
        users: BTreeMap::new(),
        binary: BinaryFacts { path: binary, in_build_folder: false, in_home: false },
    };
    let origin = Digest::of(b"origin");
    let installed = InstalledPlan {
        path: PathBuf::from("/etc/bkp/plans/shop.yaml"),
        sha256: Digest::of(PLAN_TEXT.as_bytes()),
        text: PLAN_TEXT.to_owned(),
        origin: Some(PlanOrigin { path: PathBuf::from("/root/shop.yaml"), sha256: origin }),
        origin_sha256_now: Observed::Present(origin),
        sets: BTreeMap::from([(set(), Digest::of(b"orders"))]),
        damaged: None,
    };
    let members = Observed::Present(vec![MemberFacts { name: "orders".to_owned(), size_bytes: Some(4096) }]);
    let source = SourceFacts { devices: vec![1], ..SourceFacts::new(members, Vec::new()) };
    let destination = DestinationFacts {
        prepared: true,
        space: Some(Space { free_bytes: 50 << 30, total_bytes: 100 << 30 }),
        device: Some(2),
        clock_offset_seconds: None,
        rules: None,
        sets: BTreeMap::new(),
    };
    let scheduler = SchedulerFacts { jobs: Vec::new(), lingers: None };
    let journal =
        JournalFacts { path: PathBuf::from("/var/lib/bkp/journal.jsonl"), ..JournalFacts::default() };
    Facts {
        format: Facts::FORMAT,
        observed_at: now,
        bkp_version: "0.1.0".to_owned(),
        host,
        schedulers: BTreeMap::from([(SchedulerKind::Systemd, seen(now, scheduler))]),
        plans: BTreeMap::from([("shop".parse().expect("a name"), seen(now, installed))]),
        sources: BTreeMap::from([(set(), seen(now, source))]),
        destinations: BTreeMap::from([(local(), seen(now, destination))]),
        discovered: BTreeMap::from([("sqlite:/srv".to_owned(), seen(now, Vec::new()))]),
        foreign: BTreeMap::new(),
        paths: Vec::new(),
        journal: Some(seen(now, journal)),
        daemon: None,
    }
}

pub(crate) fn seen<T>(now: Timestamp, value: T) -> Fact<T> {
    Fact::new(now, "looked", Observed::Present(value))
}

pub(crate) fn wanted(name: JobName) -> WantedJob {
    let set = match &name {
        JobName::Set(set) => Some(set.clone()),
        JobName::Trial(_) | JobName::Audit(_) => None,
    };
    let argv = vec!["/usr/local/bin/bkp".to_owned(), "run".to_owned(), name.to_string()];
    let unit = |suffix: &str| {
        let text = format!("[Unit]\nDescription={name}\n# {suffix}\n");
        (PathBuf::from(format!("/etc/systemd/system/{name}.{suffix}")), text)
    };
    WantedJob {
        set_digest: Digest::of(name.to_string().as_bytes()),
        files: vec![unit("service"), unit("timer")],
        scheduler: SchedulerKind::Systemd,
        scope: Scope::System,
        name,
        set,
        argv,
    }
}

pub(crate) fn installed(wanted: &WantedJob, next: Timestamp) -> InstalledJob {
    let file =
        |(path, text): &(PathBuf, String)| InstalledFile { path: path.clone(), text: Some(text.clone()) };
    InstalledJob {
        name: wanted.name.clone(),
        scheduler: wanted.scheduler,
        scope: wanted.scope,
        marker: Some(JobMarker {
            plan: "shop".parse().expect("a name"),
            job: wanted.name.clone(),
            set_digest: wanted.set_digest,
            bkp_version: "0.1.0".to_owned(),
        }),
        files: wanted.files.iter().map(file).collect(),
        timer: Some(TimerState {
            loaded: true,
            enablement: Enablement::Enabled,
            active: true,
            next_elapse: Some(next),
        }),
        service: ServiceState {
            loaded: true,
            masked: false,
            running: false,
            condition_failed_at: None,
            needs_reload: false,
            drop_ins: Vec::new(),
            command: wanted.argv.clone(),
        },
    }
}

pub(crate) fn manifest(id: SnapshotId, started_at: Timestamp, previous: Option<Digest>) -> Manifest {
    let size = StoredSize { bytes: 1024, sha256: Digest::of(b"bytes") };
    let member = ManifestMember {
        name: "orders".to_owned(),
        object: "orders.db.zst".to_owned(),
        plain: Some(size),
        stored: size,
        compression: Compression::Zstd,
        read_at: started_at,
        read_back_at: started_at + SignedDuration::from_mins(1),
        counts: Counts::default(),
        bounds: BTreeMap::new(),
        warnings: Vec::new(),
        index: None,
    };
    Manifest {
        format: Manifest::FORMAT,
        bkp_version: "0.1.0".to_owned(),
        node: "observatory".parse().expect("a name"),
        plan: "shop".parse().expect("a name"),
        set: set(),
        set_digest: Digest::of(JobName::Set(set()).to_string().as_bytes()),
        snapshot: id,
        started_at,
        finished_at: started_at + SignedDuration::from_mins(1),
        trigger: Trigger::Schedule,
        source: "sqlite".to_owned(),
        identity: Vec::new(),
        encryption: None,
        complete: true,
        members: vec![member],
        failed: Vec::new(),
        previous,
    }
}
