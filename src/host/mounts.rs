//! The mount that holds a path, as the system tells it.
#![expect(clippy::disallowed_methods, reason = "the real host's own look at the system")]

use super::Mount;
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Undoes the octal escapes that mountinfo uses for blanks (proc(5)).
#[cfg(target_os = "linux")]
fn unescape(field: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((first, tail)) = rest.split_first() {
        let octal = (*first == b'\\' && tail.len() >= 3)
            .then(|| std::str::from_utf8(&tail[..3]).ok().and_then(|text| u8::from_str_radix(text, 8).ok()))
            .flatten();
        if let Some(byte) = octal {
            out.push(byte);
            rest = &tail[3..];
        } else {
            out.push(*first);
            rest = tail;
        }
    }
    out
}

/// One line of mountinfo.
#[cfg(target_os = "linux")]
struct MountLine<'a> {
    id: &'a [u8],
    parent: &'a [u8],
    device: &'a [u8],
    /// What of the file system is mounted.
    root: PathBuf,
    mount: Mount,
}

#[cfg(target_os = "linux")]
fn mount_line(line: &[u8]) -> Option<MountLine<'_>> {
    let fields: Vec<&[u8]> = line.split(|byte| *byte == b' ').collect();
    let dash = fields.iter().position(|field| *field == b"-")?;
    let path = |field: &[u8]| PathBuf::from(OsStr::from_bytes(&unescape(field)));
    Some(MountLine {
        id: fields.first()?,
        parent: fields.get(1)?,
        device: fields.get(2)?,
        root: path(fields.get(3)?),
        mount: Mount {
            point: path(fields.get(4)?),
            source: String::from_utf8_lossy(&unescape(fields.get(dash + 2)?)).into_owned(),
            kind: String::from_utf8_lossy(fields.get(dash + 1)?).into_owned(),
            uuid: None,
        },
    })
}

#[cfg(target_os = "linux")]
fn mount_in(mountinfo: &[u8], path: &Path) -> Option<(Mount, String)> {
    let lines: Vec<MountLine<'_>> = mountinfo.split(|byte| *byte == b'\n').filter_map(mount_line).collect();
    let holding = lines.iter().filter(|line| path.starts_with(&line.mount.point));
    let mut best = holding.max_by_key(|line| line.mount.point.as_os_str().len())?;
    // A sandbox binds a folder onto itself to let a job write there; what lies in it is what lay there before.
    for _ in 0..lines.len() {
        let above = lines.iter().find(|line| line.id == best.parent && line.id != best.id);
        let Some(above) = above.filter(|above| above.device == best.device) else { break };
        let Ok(below) = best.mount.point.strip_prefix(&above.mount.point) else { break };
        if above.root.join(below) != best.root {
            break;
        }
        best = above;
    }
    Some((best.mount.clone(), String::from_utf8_lossy(best.device).into_owned()))
}

/// The mount that holds a path, of which no part is a link.
#[cfg(target_os = "linux")]
pub(super) fn mount_of(path: &Path) -> io::Result<Mount> {
    let mountinfo = std::fs::read("/proc/self/mountinfo")?;
    let (mount, device) = mount_in(&mountinfo, path)
        .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "no mount holds this path"))?;
    Ok(Mount { uuid: uuid_of(Path::new("/"), &device, &mount.source), ..mount })
}

/// The identifier of the file system on a device, from udev's database (what `udevadm info` prints of it): a sandbox has no
/// `/dev/disk`.
#[cfg(target_os = "linux")]
fn uuid_of(root: &Path, device: &str, source: &str) -> Option<String> {
    let number = if device.starts_with("0:") {
        // btrfs numbers its volumes itself. sysfs writes the `/` of a name as `!`.
        let name = source.strip_prefix("/dev/")?.replace('/', "!");
        std::fs::read_to_string(root.join("sys/class/block").join(name).join("dev")).ok()?
    } else {
        device.to_owned()
    };
    let told = std::fs::read_to_string(root.join(format!("run/udev/data/b{}", number.trim()))).ok()?;
    let uuid = told.lines().find_map(|line| line.strip_prefix("E:ID_FS_UUID="))?;
    (!uuid.is_empty()).then(|| uuid.to_owned())
}

/// The mount that holds a path, of which no part is a link (statfs(2) of macOS).
#[cfg(not(target_os = "linux"))]
pub(super) fn mount_of(path: &Path) -> io::Result<Mount> {
    let status = rustix::fs::statfs(path)?;
    let text = |characters: &[std::ffi::c_char]| -> Vec<u8> {
        characters.iter().map(|it| it.to_ne_bytes()[0]).take_while(|byte| *byte != 0).collect()
    };
    Ok(Mount {
        point: PathBuf::from(OsStr::from_bytes(&text(&status.f_mntonname))),
        source: String::from_utf8_lossy(&text(&status.f_mntfromname)).into_owned(),
        kind: String::from_utf8_lossy(&text(&status.f_fstypename)).into_owned(),
        uuid: None,
    })
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn mountinfo_gives_the_deepest_mount() {
        let text = b"22 1 8:1 / / rw - ext4 /dev/sda1 rw\n23 22 8:2 / /srv/my\\040data rw shared:1 - xfs /dev/sdb1 rw\n";
        let (mount, device) = mount_in(text, Path::new("/srv/my data/file")).expect("a mount");
        assert_eq!(
            (mount.source.as_str(), mount.kind.as_str(), device.as_str()),
            ("/dev/sdb1", "xfs", "8:2")
        );
        assert_eq!(mount_in(text, Path::new("/etc")).expect("root").0.source, "/dev/sda1");
    }

    #[test]
    fn file_system_is_known_by_what_udev_wrote_of_its_device() {
        let root = tempfile::tempdir().expect("a folder");
        let write = |path: &str, text: &str| {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
            std::fs::write(path, text).expect("a file");
        };
        write("sys/class/block/sdb1/dev", "8:17\n");
        write(
            "run/udev/data/b8:17",
            "S:disk/by-uuid/5f2c\nI:1234\nE:ID_FS_UUID=5f2c\nE:ID_FS_UUID_ENC=5f2c\n",
        );
        write("sys/class/block/sdc1/dev", "8:33\n");
        write("run/udev/data/b8:33", "E:ID_FS_UUID=\n");
        let uuid = |device: &str, source: &str| uuid_of(root.path(), device, source);
        assert_eq!(uuid("8:17", "/dev/sdb1").as_deref(), Some("5f2c"));
        assert_eq!(uuid("8:17", "/dev/mapper/vg-data").as_deref(), Some("5f2c"));
        assert_eq!(uuid("0:41", "/dev/sdb1").as_deref(), Some("5f2c"), "a volume of btrfs");
        for (device, source) in
            [("8:33", "/dev/sdc1"), ("8:1", "/dev/sda1"), ("0:30", "tmpfs"), ("0:31", "nas:/export")]
        {
            assert_eq!(uuid(device, source), None, "{source}");
        }
    }

    #[test]
    fn folder_that_is_bound_onto_itself_is_where_it_was() {
        let text = "22 1 8:1 / / rw - ext4 /dev/sda1 rw\n30 22 8:1 /srv/app /srv/app rw - ext4 /dev/sda1 rw\n\
                    31 22 8:1 /srv/other /srv/elsewhere rw - ext4 /dev/sda1 rw\n32 22 8:2 / /mnt rw - xfs /dev/sdb1 rw\n";
        let point = |path: &str| mount_in(text.as_bytes(), Path::new(path)).expect("a mount").0.point;
        assert_eq!(point("/srv/app/app.db"), Path::new("/"));
        assert_eq!(point("/srv/elsewhere/app.db"), Path::new("/srv/elsewhere"));
        assert_eq!(point("/mnt/app.db"), Path::new("/mnt"));
    }
}
