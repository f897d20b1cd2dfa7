//! What the recorder of the service may touch: its own directories to write, the
//! system's to read, Chromium to run.
//!
//! It parses what a hostile page sends, and Chromium inherits the rules. They are
//! Landlock's (landlock(7)): enforced by the kernel for this process and all that
//! it starts, and never to be taken off again. A kernel that has none, or a
//! machine where they would cost Chromium its sandbox, gets a line in the log.
//!
//! No seccomp filter is set here: Chromium would inherit it, and Chromium's own
//! sandbox is built of the very calls that are worth forbidding.

mod readable;

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, RestrictionStatus,
    Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetError, RulesetStatus, Scope,
    path_beneath_rules,
};

use crate::browser::find_program;
use crate::job::BrowserOptions;

/// Newest rules that are asked for; an older kernel enforces those it knows.
const RULES: ABI = ABI::V6;

/// What programs and libraries read: nothing of users, services or secrets.
const SYSTEM: &[&str] = &[
    "/usr",
    "/lib",
    "/lib32",
    "/lib64",
    "/bin",
    "/sbin",
    "/opt",
    "/nix/store",
    "/gnu/store",
    "/sys",
    "/var/cache/fontconfig",
    "/var/lib/dbus",
    "/run/systemd/resolve",
    "/run/resolvconf",
    "/run/NetworkManager",
    "/dev/null",
    "/dev/zero",
    "/dev/full",
    "/dev/random",
    "/dev/urandom",
    "/dev/tty",
    "/dev/dri",
];

/// Of `/etc`, what is nobody's business even if everybody may read it: accounts and
/// services' keys.
const SECRETS: &[&str] =
    &["roomreel", "shadow", "shadow-", "gshadow", "gshadow-", "ssh", "sudoers", "sudoers.d"];

/// Where Chromium writes besides its own directory: shared memory, and the
/// user-namespace maps of its sandbox.
const SHARED: &[&str] = &["/dev/shm", "/dev/null", "/dev/zero", "/dev/tty", "/proc"];

/// Where the devices of graphics cards are, and how those in `/dev` itself begin.
const CARDS: (&str, &str) = ("/dev/dri", "nvidia");

/// Where the loader of programs is.
const LOADERS: &[&str] = &["/lib", "/lib32", "/lib64", "/usr/lib", "/usr/lib64", "/nix/store"];

/// Switches that, at this value, keep ordinary users from making namespaces.
const NAMESPACES_OFF: &[(&str, &str)] = &[
    ("/proc/sys/kernel/unprivileged_userns_clone", "0"),
    ("/proc/sys/user/max_user_namespaces", "0"),
    ("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1"),
];

/// How far the rules hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Confinement {
    /// All of them.
    Full,
    /// Those that this kernel knows.
    Partial,
    /// None, and why.
    None(String),
}

impl fmt::Display for Confinement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full => f.write_str("confined to its own directories"),
            Self::Partial => f.write_str("confined as far as this kernel can"),
            Self::None(why) => write!(f, "not confined: {why}"),
        }
    }
}

/// Confines the calling thread and whatever it starts from now on to writing
/// `own` directories and to running the Chromium that `browser` names, or the one
/// that is found. With `cards` it may use graphics cards and run this very program,
/// to try them.
///
/// To be called before any other thread is started: each thread has rules of its own.
pub fn confine(own: &[&Path], browser: &BrowserOptions, cards: bool) -> Confinement {
    let program = match find_program(browser.program.as_deref()).map(|path| path.canonicalize()) {
        Ok(Ok(program)) => program,
        // Starting it will say what is wrong.
        _ => return Confinement::None("there is no Chromium to allow".into()),
    };
    let mut rules = Rules::new(own, &program, &browser.ca_files);
    if cards {
        rules.allow_cards();
    }
    let done = match rules.enforce(false) {
        // Not root enough: the other way costs programs their set-user-id bit,
        // and with it the sandbox of a Chromium that may make no namespaces.
        Err(_) if namespaces_off().is_none() => rules.enforce(true),
        Err(_) => return Confinement::None("it would cost Chromium its sandbox".into()),
        done => done,
    };
    told(done)
}

/// Takes every file and every network from the calling thread and whatever it starts;
/// what is open stays open.
///
/// To be called before any other thread is started.
pub fn seal() -> Confinement {
    let sealed = || {
        Ruleset::default()
            .set_compatibility(CompatLevel::BestEffort)
            .handle_access(AccessFs::from_all(RULES))?
            .handle_access(AccessNet::from_all(RULES))?
            .scope(Scope::from_all(RULES))?
            .create()?
            .no_new_privs(true)
            .restrict_self()
    };
    told(sealed())
}

fn told(done: Result<RestrictionStatus, RulesetError>) -> Confinement {
    done.map_or_else(
        |error| Confinement::None(error.to_string()),
        |status| match status.ruleset {
            RulesetStatus::FullyEnforced => Confinement::Full,
            RulesetStatus::PartiallyEnforced => Confinement::Partial,
            RulesetStatus::NotEnforced => Confinement::None("this kernel has no Landlock".into()),
        },
    )
}

/// The switch of this kernel, and its value, that keeps ordinary users from making
/// namespaces. Without one, Chromium's sandbox needs no help of a set-user-id program.
pub fn namespaces_off() -> Option<(&'static str, &'static str)> {
    let is =
        |path: &str, value: &str| std::fs::read_to_string(path).is_ok_and(|t| t.trim() == value);
    NAMESPACES_OFF.iter().copied().find(|(path, value)| is(path, value))
}

/// Paths by what may be done beneath them.
struct Rules {
    write: Vec<PathBuf>,
    read: Vec<PathBuf>,
    run: Vec<PathBuf>,
}

impl Rules {
    fn new(own: &[&Path], program: &Path, ca_files: &[PathBuf]) -> Self {
        let paths = |list: &[&str]| list.iter().map(PathBuf::from).collect::<Vec<_>>();
        let home = program.parent().unwrap_or(Path::new("/")).to_path_buf();
        let mut run = paths(LOADERS);
        run.push(home.clone());
        if !is_elf(program) {
            // A script runs whatever it likes.
            run.push("/".into());
        }
        let mut read = paths(SYSTEM);
        read.push(home);
        if !ca_files.is_empty() {
            read.extend_from_slice(ca_files);
            // certutil makes a data base of them.
            run.push("/usr/bin".into());
        }
        read.extend(readable::by_everybody(Path::new("/etc"), SECRETS));
        for name in ["FONTCONFIG_FILE", "FONTCONFIG_PATH", "LD_LIBRARY_PATH"] {
            let value = std::env::var_os(name).unwrap_or_default();
            read.extend(std::env::split_paths(&value).filter(|path| path.is_absolute()));
        }
        let mut write: Vec<PathBuf> = own.iter().map(|path| path.to_path_buf()).collect();
        write.extend(paths(SHARED));
        Self { write, read, run }
    }

    fn allow_cards(&mut self) {
        self.write.push(CARDS.0.into());
        let devices = std::fs::read_dir("/dev").into_iter().flatten().flatten();
        let cards =
            |entry: &std::fs::DirEntry| entry.file_name().to_string_lossy().starts_with(CARDS.1);
        self.write.extend(devices.filter(cards).map(|entry| entry.path()));
        self.run.extend(std::env::current_exe().ok());
    }

    fn enforce(&self, no_new_privs: bool) -> Result<RestrictionStatus, RulesetError> {
        // To remove an empty directory is harmless, and the parent of a runtime
        // directory is everybody's.
        let all: BitFlags<AccessFs> = AccessFs::from_all(RULES) & !AccessFs::RemoveDir;
        let look = AccessFs::ReadFile | AccessFs::ReadDir;
        Ruleset::default()
            .set_compatibility(CompatLevel::BestEffort)
            .handle_access(all)?
            .scope(Scope::from_all(RULES))?
            .create()?
            .add_rules(path_beneath_rules(&self.write, all & !AccessFs::Execute))?
            .add_rules(path_beneath_rules(&self.read, look))?
            .add_rules(path_beneath_rules(&self.run, look | AccessFs::Execute))?
            .no_new_privs(no_new_privs)
            .restrict_self()
    }
}

/// True for a binary, which needs no interpreter.
fn is_elf(program: &Path) -> bool {
    let mut magic = [0; 4];
    File::open(program).and_then(|mut file| file.read_exact(&mut magic)).is_ok()
        && magic == *b"\x7fELF"
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn who_is_sealed_has_what_is_open_and_nothing_else() {
        let mut open = File::open("/etc/passwd").unwrap();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let sealed = std::thread::spawn(move || {
            let sealed = seal();
            if let Confinement::None(why) = sealed {
                return Err(why);
            }
            assert!(open.read(&mut [0; 8]).is_ok());
            assert!(File::open("/etc/passwd").is_err());
            assert!(std::fs::read_dir("/").is_err());
            assert!(Command::new("/bin/true").status().is_err());
            if sealed == Confinement::Full {
                assert!(std::net::TcpStream::connect(address).is_err());
            }
            Ok(())
        });
        if let Err(why) = sealed.join().unwrap() {
            eprintln!("not tested here: {why}");
        }
    }

    /// On a thread of its own, as the rules never come off.
    #[test]
    fn what_is_not_its_own_is_closed_and_what_it_needs_is_open() {
        let own = tempfile::tempdir().unwrap();
        let other = tempfile::tempdir().unwrap();
        let secret = other.path().join("secret");
        std::fs::write(&secret, "s").unwrap();
        let (mine, theirs) = (own.path().to_path_buf(), other.path().to_path_buf());
        let program = Some("/bin/true".into());
        let browser = BrowserOptions { program, ..BrowserOptions::default() };
        let confined = std::thread::spawn(move || {
            let confinement = confine(&[&mine], &browser, true);
            if let Confinement::None(why) = confinement {
                return Err(why);
            }
            std::fs::write(mine.join("a"), "x").unwrap();
            std::fs::rename(mine.join("a"), mine.join("b")).unwrap();
            std::fs::create_dir(mine.join("d")).unwrap();
            std::fs::remove_dir_all(mine.join("d")).unwrap();
            assert!(std::fs::read("/etc/passwd").is_ok());
            assert!(std::fs::read("/proc/self/status").is_ok());
            assert!(std::fs::read("/etc/shadow").is_err());
            assert!(std::fs::read(theirs.join("secret")).is_err());
            assert!(std::fs::write(theirs.join("new"), "x").is_err());
            assert!(std::fs::remove_file(theirs.join("secret")).is_err());
            assert!(std::fs::read_dir(&theirs).is_err());
            // What it writes it cannot run.
            std::fs::copy("/bin/true", mine.join("true")).unwrap();
            assert!(Command::new(mine.join("true")).status().is_err());
            assert!(Command::new("/bin/true").status().unwrap().success());
            Ok(())
        });
        match confined.join().unwrap() {
            Ok(()) => assert!(secret.exists()),
            // Told, so that a machine without it does not pass in silence.
            Err(why) => eprintln!("not tested here: {why}"),
        }
    }
}
