//! A virtual machine with a systemd and a clock of its own, for tests that set the clock.
//!
//! The beds of `tests/bed` share the clock of the machine that runs the tests; nothing here may ever set that one. Where
//! no machine can be started the tests fail and say why; they never pass over it.
#![expect(clippy::disallowed_methods, reason = "the virtual machine is a process started from outside")]

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/bed_vm/machine");
const QEMU: &str = "qemu-system-x86_64";
/// How long a kernel may take to its first word. A `/dev/kvm` can be there and run no ordinary kernel.
const FIRST_WORD: Duration = Duration::from_secs(10);
/// How long all of systemd may take, also without the processor's help and on a busy machine.
const BOOT: Duration = Duration::from_mins(3);
/// The longest that a command inside may take.
const COMMAND: Duration = Duration::from_mins(4);

/// What a command inside came to.
#[derive(Debug)]
pub struct Said {
    /// Its exit status.
    pub status: i32,
    /// Its standard output.
    pub out: String,
    /// Its standard error.
    pub err: String,
}

/// One running virtual machine; it ends with the value, and with the process.
pub struct VirtualMachine {
    qemu: Child,
    commands: ChildStdin,
    answers: Receiver<String>,
    folder: tempfile::TempDir,
    /// What runs its instructions: `kvm`, or `tcg` where there is none that works.
    pub accelerator: &'static str,
}

/// The accelerators to try, in order.
fn accelerators() -> &'static [&'static str] {
    match std::env::var("BKP_TEST_ACCEL").as_deref() {
        Ok("kvm") => &["kvm"],
        Ok("tcg") => &["tcg"],
        Ok(other) => panic!("BKP_TEST_ACCEL is `{other}`; it can be kvm or tcg"),
        Err(_) if std::fs::OpenOptions::new().read(true).write(true).open("/dev/kvm").is_ok() => {
            &["kvm", "tcg"]
        }
        Err(_) => &["tcg"],
    }
}

/// Where `tests/run` keeps the kernel: beside the tests' own temporary folder.
fn kernels() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("a folder in a folder").join("bed_vm")
}

impl VirtualMachine {
    /// Boots one with the program in `/usr/local/bin`.
    pub fn boot() -> Self {
        let kernels = kernels();
        assert!(
            kernels.join("kernel/complete").exists(),
            "no kernel for the virtual machine, and without one nothing is proven: `tests/bed_vm/machine kernel {}`, \
             as `tests/run` does",
            kernels.display()
        );
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
        let made = Command::new(SCRIPT)
            .arg("image")
            .args([kernels.as_path(), folder.path(), Path::new(env!("CARGO_BIN_EXE_bkp"))])
            .output()
            .expect("bash runs");
        let said = String::from_utf8_lossy(&made.stderr);
        assert!(made.status.success(), "no virtual machine could be made: {said}");
        let mut silent = Vec::new();
        let mut folder = Some(folder);
        for accelerator in accelerators() {
            match Self::start(&kernels, folder.take().expect("handed back"), accelerator) {
                Ok(machine) => return machine,
                Err((why, again)) => {
                    silent.push(format!("{accelerator}: {why}"));
                    folder = Some(again);
                }
            }
        }
        panic!("no virtual machine could be started, and without one nothing is proven: {silent:?}");
    }

    /// Starts qemu; hands the folder back where the kernel says nothing.
    fn start(
        kernels: &Path,
        folder: tempfile::TempDir,
        accelerator: &'static str,
    ) -> Result<Self, (String, tempfile::TempDir)> {
        let path = |name: &str| folder.path().join(name).display().to_string();
        let errors = std::fs::File::create(path("errors")).expect("a file");
        // The kernel ends qemu with the thread that started it, however that ends.
        let spawned = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", QEMU, "-nodefaults", "-no-user-config", "-display", "none"])
            .args(["-no-reboot", "-machine", "pc", "-cpu", "max", "-smp", "2", "-m", "1024"])
            .args(["-accel", accelerator])
            .args([
                "-kernel",
                &kernels.join("kernel/vmlinuz").display().to_string(),
                "-initrd",
                &path("initrd"),
            ])
            .args(["-append", "console=ttyS0 panic=-1 systemd.show_status=0"])
            .args(["-drive", &format!("file={},if=virtio,format=raw,cache=unsafe", path("root.img"))])
            .args(["-serial", &format!("file:{}", path("console"))])
            .args(["-chardev", "stdio,id=commands,signal=off", "-serial", "chardev:commands"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(errors)
            .spawn();
        let mut qemu = spawned.expect("setpriv of util-linux runs");
        let commands = qemu.stdin.take().expect("a pipe");
        let lines = BufReader::new(qemu.stdout.take().expect("a pipe")).lines();
        let (sender, answers) = channel();
        std::thread::spawn(move || lines.map_while(Result::ok).try_for_each(|line| sender.send(line)));
        let mut machine = Self { qemu, commands, answers, folder, accelerator };
        if let Err(why) = machine.speaks() {
            let folder = std::mem::replace(
                &mut machine.folder,
                tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder"),
            );
            return Err((why, folder));
        }
        let ready = machine.answer(BOOT, "systemd to come up");
        assert_eq!(ready.trim(), "ready", "{}", machine.console());
        for name in ["root.img", "initrd"] {
            // qemu has them open; so they go with it, also where this process is killed.
            std::fs::remove_file(machine.folder.path().join(name)).expect("a file of ours");
        }
        Ok(machine)
    }

    /// Waits for the kernel's first word.
    fn speaks(&mut self) -> Result<(), String> {
        let deadline = Instant::now() + FIRST_WORD;
        while Instant::now() < deadline {
            if std::fs::metadata(self.folder.path().join("console")).is_ok_and(|it| it.len() > 0) {
                return Ok(());
            }
            if let Some(status) = self.qemu.try_wait().expect("a child") {
                let said = std::fs::read_to_string(self.folder.path().join("errors")).unwrap_or_default();
                return Err(format!(
                    "{QEMU} (packages qemu-system-x86 and seabios) ended with {status}: {}",
                    said.trim()
                ));
            }
            bkp::host::pause(Duration::from_millis(50));
        }
        Err(format!("the kernel said nothing in {FIRST_WORD:?}"))
    }

    /// The end of what the machine said on its console.
    fn console(&self) -> String {
        let read = |name: &str| std::fs::read(self.folder.path().join(name)).unwrap_or_default();
        let all = String::from_utf8_lossy(&read("console")).into_owned()
            + &String::from_utf8_lossy(&read("errors"));
        let skipped = all.lines().count().saturating_sub(20);
        all.lines().skip(skipped).collect::<Vec<_>>().join("\n")
    }

    fn answer(&self, limit: Duration, what: &str) -> String {
        match self.answers.recv_timeout(limit) {
            Ok(line) => line,
            Err(RecvTimeoutError::Timeout) => {
                panic!("waited {limit:?} in vain for {what}; its console:\n{}", self.console())
            }
            Err(RecvTimeoutError::Disconnected) => {
                panic!(
                    "the virtual machine ended while {what} was waited for; its console:\n{}",
                    self.console()
                )
            }
        }
    }

    /// Runs a shell line as root inside.
    pub fn run(&mut self, line: &str) -> Said {
        writeln!(self.commands, "{}", base64(line.as_bytes())).expect("qemu takes a line");
        let answer = self.answer(COMMAND, line);
        let mut words = answer.trim().trim_start_matches('=').split(' ');
        let mut word = || words.next().unwrap_or_else(|| panic!("`{line}`: an answer broken off: {answer}"));
        let status = word().parse().unwrap_or_else(|_| panic!("`{line}`: no exit status: {answer}"));
        Said { status, out: text(word()), err: text(word()) }
    }

    /// Runs a shell line as root inside, which must succeed, and hands back what it printed.
    #[track_caller]
    pub fn sh(&mut self, line: &str) -> String {
        let Said { status, out, err } = self.run(line);
        assert_eq!(status, 0, "`{line}`: {out}{err}");
        out
    }
}

impl Drop for VirtualMachine {
    fn drop(&mut self) {
        // Nothing in it is to be kept, so it is not asked.
        let killed = self.qemu.kill();
        let ended = self.qemu.wait();
        assert!(std::thread::panicking() || (killed.is_ok() && ended.is_ok()), "{killed:?} {ended:?}");
    }
}

const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Base64 (RFC 4648, section 4).
fn base64(bytes: &[u8]) -> String {
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let bits =
            chunk.iter().chain([&0, &0]).take(3).fold(0_usize, |bits, byte| bits << 8 | usize::from(*byte));
        for place in 0..4 {
            let digit = char::from(DIGITS[bits >> (18 - 6 * place) & 63]);
            text.push(if place <= chunk.len() { digit } else { '=' });
        }
    }
    text
}

/// What base64 stands for; `-` is nothing.
fn text(word: &str) -> String {
    let mut bytes = Vec::new();
    let (mut bits, mut count) = (0_usize, 0);
    for digit in word.bytes().filter(|it| word != "-" && *it != b'=') {
        let value = DIGITS.iter().position(|it| *it == digit);
        bits = bits << 6 | value.unwrap_or_else(|| panic!("no base64: {word}"));
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push(u8::try_from(bits >> count & 255).expect("eight bits"));
        }
        bits &= 255;
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
