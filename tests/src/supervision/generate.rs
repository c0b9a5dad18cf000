//! Random scripts, each a function of its seed.

/// SplitMix64, as good as any for choosing words.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }
}

const REASONS: [&str; 6] = ["normal", "shutdown", "killed", "panic", "error", "panic"];
const IDS: [&str; 7] = ["a", "b", "c", "d", "e", "f", "g"];

/// A supervisor, its first children, and what happens to them.
#[must_use]
pub fn script(seed: u64) -> String {
    let mut random = Random(seed.wrapping_mul(0xD134_2543_DE82_EF95));
    let strategy = random.pick(&["one_for_one", "one_for_all", "rest_for_one", "dynamic"]);
    let dynamic = strategy == "dynamic";
    let auto = random.pick(&["", "", " any", " all"]);
    let (limit, period) = (random.below(5), 1 + random.below(6));
    let mut steps = vec![format!(
        "supervisor {strategy} intensity {limit} {period}s seconds otp{auto}"
    )];
    // All children of a dynamic supervisor are alike.
    let template = options(&mut random, auto, false);
    let child = |random: &mut Random, id: &str, refusable: bool| match dynamic {
        true => format!("{id}{template}"),
        false => format!("{id}{}", options(random, auto, refusable)),
    };
    let first = if dynamic { 0 } else { random.below(6) };
    let stubborn: Vec<_> = IDS.iter().filter(|_| random.one_in(6)).collect();
    // A child that does not obey would make its supervisor wait for ever if it had all the time it wants.
    let start: Vec<_> = IDS[..first]
        .iter()
        .map(|id| child(&mut random, id, false))
        .collect();
    for id in &stubborn {
        steps.push(format!("stubborn {id}"));
    }
    for id in IDS {
        if random.one_in(14) && !stubborn.contains(&&id) {
            steps.push(fate(&mut random, id, dynamic));
        }
    }
    steps.push(format!("start {}", start.join(" ")));
    // Dynamic children have no ids in OTP, so none is added twice.
    let mut fresh_ids = IDS.iter();
    let mut hanging: Option<&str> = None;
    for _ in 0..3 + random.below(14) {
        let id = match dynamic || random.one_in(8) {
            true => random.pick(&IDS),
            false => random.pick(&IDS[..first.max(1)]),
        };
        let step = match random.below(if hanging.is_some() { 16 } else { 20 }) {
            0..=5 => format!("exit {id} {}", random.pick(&REASONS)),
            6 | 7 if !dynamic => format!("tick {}s", 1 + random.below(4)),
            8 | 9 if !dynamic => format!("add {}", child(&mut random, id, true)),
            6..=9 => match fresh_ids.next() {
                Some(id) => format!("add {}", child(&mut random, id, true)),
                None => "tick 1s".into(),
            },
            10 | 11 => format!("terminate {id}"),
            12 => format!("restart {id}"),
            13 => format!("delete {id}"),
            14 | 15 if hanging.is_some() => {
                let (verb, id) = (
                    random.pick(&["started", "failed"]),
                    hanging.take().unwrap_or_default(),
                );
                // In case that it has not hung yet.
                steps.push(format!("obey {id}"));
                format!("{verb} {id}")
            }
            14..=16 if !stubborn.contains(&&id) => fate(&mut random, id, dynamic),
            17 if !stubborn.contains(&&id) && hanging.is_none() => {
                hanging = Some(id);
                format!("hang {id} 1")
            }
            18 if hanging.is_none() && random.one_in(3) => "shutdown".into(),
            _ => format!("exit {id} panic"),
        };
        steps.push(step);
    }
    steps.join("; ")
}

fn fate(random: &mut Random, id: &str, dynamic: bool) -> String {
    match random.below(if dynamic { 3 } else { 4 }) {
        0 => format!("fail {id}"),
        1 | 2 => format!("fail {id} {}", 1 + random.below(3)),
        _ => format!("ignore {id} {}", 1 + random.below(2)),
    }
}

fn options(random: &mut Random, auto: &str, refusable: bool) -> String {
    let restart = random.pick(&["", "", ":transient", ":temporary"]);
    let is_refused = auto.is_empty() || restart.is_empty();
    let significant = match (!is_refused && random.one_in(2)) || (refusable && random.one_in(20)) {
        true => ":significant",
        false => "",
    };
    let shutdown = random.pick(&["", ":1s", ":brutal"]);
    let role = if random.one_in(6) && !shutdown.is_empty() {
        ":supervisor"
    } else {
        ""
    };
    // The role comes first: it changes the default of the shutdown.
    format!("{role}{restart}{significant}{shutdown}")
}
