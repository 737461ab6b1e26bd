//! The answers of S3 in XML, as far as they are asked for (Amazon S3 API reference, version 2006-03-01).

use crate::observed::{LockMode, ObjectLock, RuleStart, Shown, StorageAction, StorageRule};
use serde::Deserialize;

/// Tiers from which an object must be brought back before it can be read.
const ARCHIVES: [&str; 2] = ["GLACIER", "DEEP_ARCHIVE"];
/// Days of a year of a lock.
const YEAR_DAYS: u32 = 365;

fn parse<T: for<'a> Deserialize<'a>>(body: &[u8]) -> Result<T, String> {
    quick_xml::de::from_reader(body).map_err(|error| error.to_string())
}

/// Code and message of an error; empty where it is none.
pub(super) fn words(body: &[u8]) -> String {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Refusal {
        code: String,
        #[serde(default)]
        message: String,
    }
    parse::<Refusal>(body).map(|it| format!("{}: {}", it.code, it.message)).unwrap_or_default()
}

/// One page of `ListMultipartUploads`.
#[derive(Debug, Deserialize)]
pub(super) struct Uploads {
    #[serde(rename = "Upload", default)]
    pub list: Vec<Upload>,
    #[serde(rename = "IsTruncated", default)]
    pub more: bool,
    #[serde(rename = "NextKeyMarker", default)]
    pub next_key: String,
    #[serde(rename = "NextUploadIdMarker", default)]
    pub next_id: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct Upload {
    #[serde(rename = "Key")]
    pub key: String,
    #[serde(rename = "UploadId")]
    pub id: String,
}

impl Uploads {
    pub fn parse(body: &[u8]) -> Result<Self, String> {
        parse(body)
    }
}

/// `GetBucketLifecycleConfiguration`.
#[derive(Debug, Deserialize)]
pub(super) struct Lifecycle {
    #[serde(rename = "Rule", default)]
    rules: Vec<Rule>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Rule {
    status: String,
    /// As rules were written before there were filters.
    #[serde(default)]
    prefix: String,
    #[serde(default)]
    filter: Filter,
    #[serde(default)]
    expiration: Option<When>,
    #[serde(default, rename = "Transition")]
    transitions: Vec<When>,
    #[serde(default)]
    noncurrent_version_expiration: Option<When>,
    #[serde(default)]
    abort_incomplete_multipart_upload: Option<When>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Filter {
    prefix: String,
    tag: Option<Tag>,
    and: Option<Both>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Both {
    prefix: String,
    #[serde(rename = "Tag")]
    tags: Vec<Tag>,
}

#[derive(Debug, Deserialize)]
struct Tag {}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct When {
    days: Option<u32>,
    noncurrent_days: Option<u32>,
    days_after_initiation: Option<u32>,
    date: Option<String>,
    storage_class: String,
}

impl When {
    /// None where the rule is of marks of removal only.
    fn start(&self) -> Option<RuleStart> {
        let days = self.days.or(self.noncurrent_days).or(self.days_after_initiation);
        match (days, &self.date) {
            (Some(days), _) => Some(RuleStart::AfterDays(days)),
            (None, Some(date)) => Some(RuleStart::OnDate(date.clone())),
            (None, None) => None,
        }
    }
}

impl Rule {
    fn prefix(&self) -> &str {
        let and = self.filter.and.as_ref().map_or("", |it| it.prefix.as_str());
        [self.prefix.as_str(), self.filter.prefix.as_str(), and]
            .into_iter()
            .find(|it| !it.is_empty())
            .unwrap_or("")
    }

    /// Objects of ours have no tags.
    fn wants_tags(&self) -> bool {
        self.filter.tag.is_some() || self.filter.and.as_ref().is_some_and(|it| !it.tags.is_empty())
    }

    fn actions(&self) -> impl Iterator<Item = (StorageAction, RuleStart)> {
        let plain = [
            (StorageAction::Expire, self.expiration.as_ref()),
            (StorageAction::ExpireOldVersions, self.noncurrent_version_expiration.as_ref()),
            (StorageAction::AbortUploads, self.abort_incomplete_multipart_upload.as_ref()),
        ];
        let plain = plain.into_iter().filter_map(|(action, when)| Some((action, when?.start()?)));
        let moved = self.transitions.iter().filter_map(|when| {
            let tier = when.storage_class.clone();
            let archive = ARCHIVES.contains(&tier.as_str());
            let action = if archive { StorageAction::Archive { tier } } else { StorageAction::Move { tier } };
            Some((action, when.start()?))
        });
        plain.chain(moved)
    }
}

impl Lifecycle {
    pub fn parse(body: &[u8]) -> Result<Self, String> {
        parse(body)
    }

    /// What concerns objects below a root, with prefixes as seen from there.
    pub fn rules_below(&self, root: &str) -> Vec<StorageRule> {
        let ours = self.rules.iter().filter(|rule| rule.status == "Enabled" && !rule.wants_tags());
        ours.filter_map(|rule| Some((rule, below(root, rule.prefix())?)))
            .flat_map(|(rule, prefix)| {
                rule.actions().map(move |(action, after)| StorageRule {
                    prefix: prefix.clone(),
                    action,
                    after,
                })
            })
            .collect()
    }
}

/// A prefix as seen from a root; none where nothing below the root begins with it.
fn below(root: &str, prefix: &str) -> Option<String> {
    match prefix.strip_prefix(root) {
        Some(rest) => Some(rest.to_owned()),
        None => root.starts_with(prefix).then(String::new),
    }
}

/// `GetObjectLockConfiguration`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Lock {
    #[serde(default)]
    object_lock_enabled: String,
    #[serde(default)]
    rule: Option<LockRule>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct LockRule {
    default_retention: Retention,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Retention {
    mode: String,
    #[serde(default)]
    days: Option<u32>,
    #[serde(default)]
    years: Option<u32>,
}

impl Lock {
    pub fn parse(body: &[u8]) -> Result<Self, String> {
        parse(body)
    }

    pub fn shown(&self) -> Shown<ObjectLock> {
        if self.object_lock_enabled != "Enabled" {
            return Shown::Absent;
        }
        let Some(LockRule { default_retention }) = &self.rule else {
            return Shown::Present(ObjectLock::OnRequest);
        };
        let days = default_retention.days.or(default_retention.years.map(|it| it.saturating_mul(YEAR_DAYS)));
        let mode = match default_retention.mode.as_str() {
            "GOVERNANCE" => LockMode::Governance,
            "COMPLIANCE" => LockMode::Compliance,
            other => return Shown::NotShown(format!("the lock's mode is `{other}`")),
        };
        match days {
            Some(days) => Shown::Present(ObjectLock::EveryObject { mode, days }),
            None => Shown::NotShown("the lock says neither days nor years".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_of_all_forms_are_seen_from_the_root() {
        let xml = br#"<?xml version="1.0" encoding="UTF-8"?>
<LifecycleConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/">
  <Rule><ID>a</ID><Filter><Prefix>a/</Prefix></Filter><Status>Enabled</Status>
    <Transition><Days>30</Days><StorageClass>STANDARD_IA</StorageClass></Transition>
    <Transition><Days>90</Days><StorageClass>GLACIER</StorageClass></Transition>
    <Expiration><Days>365</Days></Expiration></Rule>
  <Rule><ID>old</ID><Prefix>a/b/host</Prefix><Status>Enabled</Status>
    <Expiration><Date>2027-01-01T00:00:00Z</Date></Expiration></Rule>
  <Rule><ID>off</ID><Filter/><Status>Disabled</Status><Expiration><Days>1</Days></Expiration></Rule>
  <Rule><ID>tags</ID><Filter><And><Prefix>a/</Prefix><Tag><Key>k</Key><Value>v</Value></Tag></And></Filter>
    <Status>Enabled</Status><Expiration><Days>2</Days></Expiration></Rule>
  <Rule><ID>tag</ID><Filter><Tag><Key>k</Key><Value>v</Value></Tag></Filter>
    <Status>Enabled</Status><Expiration><Days>2</Days></Expiration></Rule>
  <Rule><ID>size</ID><Filter><And><Prefix>a/b/</Prefix><ObjectSizeGreaterThan>5</ObjectSizeGreaterThan></And></Filter>
    <Status>Enabled</Status><Expiration><Days>7</Days></Expiration></Rule>
  <Rule><ID>else</ID><Filter><Prefix>other/</Prefix></Filter><Status>Enabled</Status>
    <Expiration><Days>3</Days></Expiration></Rule>
  <Rule><ID>marks</ID><Filter/><Status>Enabled</Status>
    <Expiration><ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker></Expiration>
    <NoncurrentVersionExpiration><NoncurrentDays>4</NoncurrentDays></NoncurrentVersionExpiration>
    <AbortIncompleteMultipartUpload><DaysAfterInitiation>5</DaysAfterInitiation></AbortIncompleteMultipartUpload>
  </Rule>
</LifecycleConfiguration>"#;
        let rule = |prefix: &str, action, after| StorageRule { prefix: prefix.to_owned(), action, after };
        let days = RuleStart::AfterDays;
        let tier = |tier: &str| tier.to_owned();
        let expected = [
            rule("", StorageAction::Expire, days(365)),
            rule("", StorageAction::Move { tier: tier("STANDARD_IA") }, days(30)),
            rule("", StorageAction::Archive { tier: tier("GLACIER") }, days(90)),
            rule("host", StorageAction::Expire, RuleStart::OnDate("2027-01-01T00:00:00Z".to_owned())),
            rule("", StorageAction::Expire, days(7)),
            rule("", StorageAction::ExpireOldVersions, days(4)),
            rule("", StorageAction::AbortUploads, days(5)),
        ];
        assert_eq!(Lifecycle::parse(xml).expect("rules").rules_below("a/b/"), expected);
        assert!(Lifecycle::parse(b"<html>").is_err());
    }

    #[test]
    fn lock_has_its_mode_and_its_days() {
        let lock = |rule: &str| {
            let xml = format!(
                "<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled>{rule}</ObjectLockConfiguration>"
            );
            Lock::parse(xml.as_bytes()).expect("a lock").shown()
        };
        let retention =
            |inner: &str| lock(&format!("<Rule><DefaultRetention>{inner}</DefaultRetention></Rule>"));
        assert_eq!(lock(""), Shown::Present(ObjectLock::OnRequest));
        assert_eq!(
            retention("<Mode>COMPLIANCE</Mode><Years>2</Years>"),
            Shown::Present(ObjectLock::EveryObject { mode: LockMode::Compliance, days: 730 })
        );
        assert!(matches!(retention("<Mode>NEW</Mode><Days>2</Days>"), Shown::NotShown(_)));
    }
}
