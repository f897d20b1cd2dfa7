//! A real SFU for tests: Debian's Janus gateway and its own Video Room page.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::{Value, json};

use super::pages::Pages;
use super::process::{Running, run};
use super::{scratch, tools, until};

/// The room that exists from the start.
pub const ROOM: u32 = 1234;

/// Folder of the replaced file and of notes to the pages, within the configuration.
const SITE: &str = "site";

/// Janus on free ports of the loopback, and its pages; ends when dropped.
pub struct Janus {
    gateway: Running,
    api: String,
    pages: Pages,
    config: tempfile::TempDir,
}

/// One entry of the room's list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Participant {
    /// The name it came with.
    pub name: String,
    /// True once it sends media.
    pub publishes: bool,
}

impl Janus {
    /// Starts the gateway and returns when it answers.
    pub fn start() -> Self {
        let config = scratch();
        let port = free_port();
        let api = format!("http://127.0.0.1:{port}/janus");
        let root = tools::debian_root("janus");
        let libraries = libraries(&root);
        write_config(config.path(), &libraries, port);
        let site = config.path().join(SITE);
        std::fs::create_dir(&site).unwrap();
        std::fs::write(site.join("settings.js"), settings(&api)).unwrap();
        let mut gateway = Command::new(root.join("usr/bin/janus"));
        gateway.arg("-F").arg(config.path()).arg("-N").env("LD_LIBRARY_PATH", &libraries);
        let gateway = Running::spawn(&mut gateway);
        let pages = Pages::over(vec![site, root.join("usr/share/janus/demos")]);
        let janus = Self { gateway, api, pages, config };
        until("an answer of Janus", Duration::from_secs(20), || {
            let info = run(Command::new("curl").args(["-sf", &format!("{}/info", janus.api)]));
            info.status.success().then_some(())
        });
        janus
    }

    /// Where `name` enters the room and publishes at once.
    pub fn publisher_url(&self, name: &str) -> String {
        self.pages.url(&format!("videoroomtest.html?room={ROOM}&name={name}"))
    }

    /// Where `name` enters the room and only watches: the link for a recorder.
    pub fn watcher_url(&self, name: &str) -> String {
        self.publisher_url(name) + "&subscriber-mode=true"
    }

    /// Has `name` leave as somebody does who closes the tab: the page says goodbye.
    /// (A browser that just ends stays listed for the minute of Janus' session time-out.)
    pub fn leave(&self, name: &str) {
        std::fs::write(self.config.path().join(SITE).join(format!("leave-{name}")), "").unwrap();
    }

    /// Who is in the room, by the gateway itself.
    pub fn participants(&self) -> Vec<Participant> {
        let one = |p: &Value| Participant {
            name: p["display"].as_str().unwrap_or_default().to_owned(),
            publishes: p["publisher"].as_bool().unwrap_or_default(),
        };
        self.list().iter().map(one).collect()
    }

    fn list(&self) -> Vec<Value> {
        let reply = self.of_room(json!({"request": "listparticipants", "room": ROOM}));
        reply["participants"].as_array().unwrap_or_else(|| panic!("{reply}")).clone()
    }

    /// Puts `name` out of the room.
    pub fn kick(&self, name: &str) {
        let list = self.list();
        let found = list.iter().find(|p| p["display"] == name);
        let id = &found.unwrap_or_else(|| panic!("{name} is not in {list:?}"))["id"];
        let reply = self.of_room(json!({"request": "kick", "room": ROOM, "id": id}));
        assert_eq!(reply["videoroom"], "success", "{reply}");
    }

    /// Ends the room for everybody.
    pub fn destroy(&self) {
        let reply = self.of_room(json!({"request": "destroy", "room": ROOM}));
        assert_eq!(reply["videoroom"], "destroyed", "{reply}");
    }

    /// Kills the gateway; the pages go on being served.
    pub fn kill(&self) {
        self.gateway.signal(Signal::KILL);
    }

    /// What the plugin answers to a request.
    fn of_room(&self, body: Value) -> Value {
        let id = |reply: Value| reply["data"]["id"].as_u64().unwrap_or_else(|| panic!("{reply}"));
        let session =
            format!("{}/{}", self.api, id(self.ask(&self.api, json!({"janus": "create"}))));
        let attach = json!({"janus": "attach", "plugin": "janus.plugin.videoroom"});
        let handle = format!("{session}/{}", id(self.ask(&session, attach)));
        let mut reply = self.ask(&handle, json!({"janus": "message", "body": body}));
        self.ask(&session, json!({"janus": "destroy"}));
        reply["plugindata"]["data"].take()
    }

    /// Waits until exactly `names` publish in the room.
    pub fn wait_for_publishers(&self, names: &[&str], patience: Duration) {
        let mut wanted: Vec<_> = names.iter().map(ToString::to_string).collect();
        wanted.sort();
        until(&format!("publishers {names:?}"), patience, || {
            let publishing = self.participants().into_iter().filter(|p| p.publishes);
            let mut found: Vec<_> = publishing.map(|p| p.name).collect();
            found.sort();
            (found == wanted).then_some(())
        });
    }

    fn ask(&self, url: &str, mut request: Value) -> Value {
        request["transaction"] = "test".into();
        let reply = run(Command::new("curl").args(["-sf", "-d", &request.to_string(), url]))
            .expect_success("curl");
        let reply: Value = serde_json::from_str(&reply.stdout).unwrap();
        assert_ne!(reply["janus"], "error", "{reply}\n{}", self.gateway.stdout());
        reply
    }
}

/// A TCP port that was free a moment ago; Janus cannot pick one by itself.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Debian's folder of libraries: `usr/lib/x86_64-linux-gnu`, for example.
fn libraries(root: &Path) -> PathBuf {
    let mut folders =
        std::fs::read_dir(root.join("usr/lib")).unwrap().map(|folder| folder.unwrap().path());
    folders
        .find(|folder| folder.join("janus").exists())
        .expect("Janus is missing: run scripts/setup test")
}

/// The few files that Janus needs.
fn write_config(to: &Path, libraries: &Path, port: u16) {
    let write = |name: &str, text: &str| std::fs::write(to.join(name), text).unwrap();
    let folder = to.display();
    let own = libraries.join("janus");
    let own = own.display();
    write(
        "janus.jcfg",
        &format!(
            "general: {{ configs_folder = \"{folder}\"\n plugins_folder = \"{own}/plugins\"\n\
             transports_folder = \"{own}/transports\"\n debug_level = 3\n debug_colors = false }}\n\
             nat: {{ ice_ignore_list = \"vmnet\" }}\n"
        ),
    );
    write(
        "janus.transport.http.jcfg",
        &format!(
            "general: {{ base_path = \"/janus\"\n http = true\n port = {port}\n\
             ip = \"127.0.0.1\"\n https = false }}\n admin: {{ admin_http = false }}\n"
        ),
    );
    // Debian's demo room allows 128 kb/s, which makes mud of any picture.
    write(
        "janus.plugin.videoroom.jcfg",
        &format!(
            "room-{ROOM}: {{ description = \"Tests\"\n publishers = 12\n bitrate = 2000000\n\
             fir_freq = 10\n record = false }}\n"
        ),
    );
}

/// The demos' settings file, the one thing of the site that is replaced: Debian's lacks
/// `token` and `apisecret` (its pages throw without), and a `name` in the URL must
/// lead straight into the room.
fn settings(api: &str) -> String {
    let script = r##"
var iceServers = [], token = null, apisecret = null;
(function () {
  var name = new URLSearchParams(location.search).get("name");
  if (!name) return;
  $(function () {
    var step = 0;
    setInterval(function () {
      if (step === 0) {
        $("#start").click();
        if ($("#start").attr("disabled")) step = 1;
      } else if (step === 1 && $("#username").is(":visible")) {
        $("#username").val(name);
        $("#register").click();
        step = 2;
      } else if (step === 2) {
        document.documentElement.dataset.peers = feeds.filter(Boolean).length;
      }
    }, 100);
    setInterval(function () {
      fetch("leave-" + name).then(function (note) {
        if (note.ok) location = "about:blank";
      });
    }, 500);
  });
})();
"##;
    format!("var server = \"{api}\";\n{script}")
}

#[cfg(test)]
mod tests {
    use super::super::browser::Publisher;
    use super::super::{media, quiet};
    use super::*;

    #[test]
    fn publishers_meet_leave_and_leave_ghosts() {
        let _quiet = quiet();
        let dir = scratch();
        media::feeds(dir.path(), "alice", "blue", 880);
        media::feeds(dir.path(), "bob", "green", 660);
        let janus = Janus::start();
        let alice = Publisher::join(&janus.publisher_url("alice"), dir.path(), "alice");
        let bob = Publisher::join(&janus.publisher_url("bob"), dir.path(), "bob");
        let patience = Duration::from_secs(60);
        janus.wait_for_publishers(&["alice", "bob"], patience);
        let carol = Publisher::join(&janus.watcher_url("carol"), dir.path(), "bob");
        let watching = Participant { name: "carol".into(), publishes: false };
        until("carol, who only watches", patience, || {
            janus.participants().contains(&watching).then_some(())
        });
        drop(carol);
        janus.leave("bob");
        janus.wait_for_publishers(&["alice"], Duration::from_secs(15));
        drop((alice, bob));
        std::thread::sleep(Duration::from_secs(2));
        // Killed browsers leave ghosts: a recorder must not take silence for an answer.
        let names: Vec<_> = janus.participants().into_iter().map(|p| p.name).collect();
        assert!(names.contains(&"alice".to_owned()), "{names:?}");
    }
}
