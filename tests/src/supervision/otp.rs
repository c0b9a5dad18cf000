//! OTP's supervisor, compiled with a virtual clock, and scripts in Erlang's terms.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use treewarden_supervisor::machine::script::{ChildLine, Fate, Step, parse};
use treewarden_supervisor::machine::{AutoShutdown, ChildRole, Flags, Restart, Shutdown, Strategy};

/// How often the real clock call stands in OTP's module.
const CLOCK_CALL: &str = "erlang:monotonic_time(1)";

/// An Erlang installation with the source of its supervisor, and a folder of compiled modules.
#[derive(Debug)]
pub struct Erlang {
    folder: PathBuf,
}

impl Drop for Erlang {
    fn drop(&mut self) {
        // One that is left behind does no harm.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

impl Erlang {
    /// The installation, or `None` if there is none.
    ///
    /// # Panics
    ///
    /// If it is there, but its supervisor cannot be compiled with another clock.
    #[must_use]
    pub fn find() -> Option<Erlang> {
        let output = Command::new("erl")
            .args([
                "-noshell",
                "-eval",
                "io:put_chars(code:lib_dir(stdlib)), io:put_chars(\"\\n\"), \
                   io:put_chars(code:lib_dir(kernel)), halt().",
            ])
            .stdin(Stdio::null())
            .output()
            .ok()?;
        let answer = String::from_utf8(output.stdout).ok()?;
        let (stdlib, kernel) = answer.split_once('\n')?;
        let source = fs::read_to_string(Path::new(stdlib).join("src/supervisor.erl")).ok()?;
        static FOLDERS: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let unique = FOLDERS.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let folder =
            std::env::temp_dir().join(format!("treewarden-otp-{}-{unique}", std::process::id()));
        fs::create_dir_all(&folder).expect("the folder for temporary files can be written");
        assert_eq!(
            source.matches(CLOCK_CALL).count(),
            1,
            "OTP's supervisor asks the clock in one place"
        );
        let source = source
            .replace(CLOCK_CALL, "tw_driver:seconds()")
            .replace("-module(supervisor)", "-module(tw_supervisor)")
            .replace("start_link(supervisor,", "start_link(tw_supervisor,")
            .replace(
                "start_link(SupName, supervisor,",
                "start_link(SupName, tw_supervisor,",
            )
            .replace("supervisor:format_log", "tw_supervisor:format_log");
        fs::write(folder.join("tw_supervisor.erl"), source)
            .expect("the folder for temporary files can be written");
        let driver = Path::new(env!("CARGO_MANIFEST_DIR")).join("otp/tw_driver.erl");
        fs::copy(driver, folder.join("tw_driver.erl")).expect("the driver can be copied");
        let compiled = Command::new("erlc")
            .arg("-I")
            .arg(Path::new(kernel).join("include"))
            .arg("-I")
            .arg(Path::new(kernel).join("src"))
            .args(["tw_supervisor.erl", "tw_driver.erl"])
            .current_dir(&folder)
            .output()
            .ok()?;
        assert!(
            compiled.status.success(),
            "erlc: {}",
            String::from_utf8_lossy(&compiled.stdout)
        );
        Some(Erlang { folder })
    }

    /// The traces of the scripts, in their order.
    ///
    /// # Panics
    ///
    /// If Erlang does not run them all.
    #[must_use]
    pub fn run(&self, scripts: &[String]) -> Vec<String> {
        let terms: String = scripts
            .iter()
            .enumerate()
            .map(|(number, script)| term(number, script))
            .collect();
        fs::write(self.folder.join("scripts"), terms)
            .expect("the folder for temporary files can be written");
        let status = Command::new("erl")
            .args([
                "-noshell",
                "-eval",
                "tw_driver:main([\"scripts\", \"traces\"]).",
            ])
            .current_dir(&self.folder)
            .stdin(Stdio::null())
            .status()
            .expect("erl was there a moment ago");
        assert!(status.success(), "erl failed: {status}");
        let traces =
            fs::read_to_string(self.folder.join("traces")).expect("the driver wrote its traces");
        let traces: Vec<_> = traces
            .split("script ")
            .skip(1)
            .map(|trace| {
                trace
                    .split_once('\n')
                    .map_or("", |(_, trace)| trace)
                    .to_owned()
            })
            .collect();
        assert_eq!(traces.len(), scripts.len(), "one trace for each script");
        traces
    }
}

/// A script as an Erlang term: `{Number, Flags, Children, Steps}.`
fn term(number: usize, script: &str) -> String {
    let steps = parse(script).unwrap_or_else(|error| panic!("{error} in {script}"));
    let mut flags = String::new();
    let mut children = Vec::new();
    let mut stubborn = Vec::new();
    let mut words = Vec::new();
    for step in &steps {
        match step {
            Step::Supervisor(given) => flags = flags_term(given),
            Step::Behave(id, Fate::Stubborn, _) => stubborn.push(id.clone()),
            Step::Begin(given) => {
                children = given
                    .iter()
                    .map(|child| child_term(child, &stubborn))
                    .collect();
                words.push("{start}".to_owned());
            }
            Step::Exit(id, reason) => words.push(format!("{{exit, {id}, {reason}}}")),
            Step::Tick(time) => words.push(format!("{{tick, {}}}", time.as_secs())),
            Step::Behave(id, fate, times) => {
                let times = if *times == u32::MAX {
                    "infinity".to_owned()
                } else {
                    times.to_string()
                };
                words.push(format!("{{{}, {id}, {times}}}", fate_word(*fate)));
            }
            Step::Started(id) => words.push(format!("{{started, {id}}}")),
            Step::Failed(id) => words.push(format!("{{failed, {id}}}")),
            Step::Add(child) => words.push(format!("{{add, {}}}", child_term(child, &stubborn))),
            Step::Terminate(id) => words.push(format!("{{terminate, {id}}}")),
            Step::Restart(id) => words.push(format!("{{restart, {id}}}")),
            Step::Delete(id) => words.push(format!("{{delete, {id}}}")),
            Step::Shutdown => words.push("{shutdown}".to_owned()),
            Step::Which | Step::Count | Step::Kill => panic!("{step:?} has no counterpart"),
        }
    }
    // The template of dynamic children, all of which are alike, is the first that is added.
    if flags.contains("simple_one_for_one") {
        let added = steps.iter().find_map(|step| {
            if let Step::Add(child) = step {
                Some(child)
            } else {
                None
            }
        });
        children = added
            .map(|child| child_term(child, &stubborn))
            .into_iter()
            .collect();
        // Their shutdown is the template's as well, so one that does not obey shortens it for all, but not too much.
        if !stubborn.is_empty() {
            children = children
                .iter()
                .map(|child| child.replace("=> 5000", "=> 60").replace("=> 5,", "=> 60,"))
                .collect();
        }
    }
    format!(
        "{{{number}, {flags}, [{}], [{}]}}.\n",
        children.join(", "),
        words.join(", ")
    )
}

fn fate_word(fate: Fate) -> &'static str {
    match fate {
        Fate::Obey => "obey",
        Fate::Fail => "fail",
        Fate::Ignore => "ignore",
        Fate::Hang => "hang",
        Fate::Stubborn | Fate::Stuck => panic!("{fate:?} is no fate of a start"),
    }
}

fn flags_term(flags: &Flags) -> String {
    let strategy = match flags.strategy {
        Strategy::OneForOne => "one_for_one",
        Strategy::OneForAll => "one_for_all",
        Strategy::RestForOne => "rest_for_one",
        Strategy::Dynamic => "simple_one_for_one",
    };
    let auto_shutdown = match flags.auto_shutdown {
        AutoShutdown::Never => "never",
        AutoShutdown::AnySignificant => "any_significant",
        AutoShutdown::AllSignificant => "all_significant",
    };
    let (intensity, period) = (flags.intensity.limit, flags.intensity.period.as_secs());
    format!(
        "#{{strategy => {strategy}, intensity => {intensity}, period => {period}, auto_shutdown => {auto_shutdown}}}"
    )
}

fn child_term(ChildLine { spec, .. }: &ChildLine, stubborn: &[std::sync::Arc<str>]) -> String {
    let restart = match spec.restart {
        Restart::Permanent => "permanent",
        Restart::Transient => "transient",
        Restart::Temporary => "temporary",
    };
    let stubborn = stubborn.contains(&spec.id);
    let shutdown = match spec.shutdown {
        Shutdown::BrutalKill => "brutal_kill".to_owned(),
        Shutdown::Infinity => "infinity".to_owned(),
        // Nobody waits for the end of this but for children that do not obey.
        Shutdown::Timeout(_) if stubborn => "5".to_owned(),
        Shutdown::Timeout(time) => (time.as_millis().max(5000)).to_string(),
    };
    let role = match spec.role {
        ChildRole::Worker => "worker",
        ChildRole::Supervisor => "supervisor",
    };
    let (id, significant) = (&spec.id, spec.significant);
    let mut term = String::new();
    write!(
        term,
        "#{{id => {id}, restart => {restart}, significant => {significant}, shutdown => {shutdown}, type => {role}, \
         stubborn => {stubborn}}}"
    )
    .expect("writing to a string");
    term
}
