//! What a seed turns on: each run has its own faults, operations and sizes, so that between them
//! the runs reach states that one mix of all would not (swarm testing).

use crate::{Loss, Random};
use message::names;
use std::path::Path;
use store::{FlushMode, Settings};

/// What the store lies under.
pub(crate) const ROOT: &str = "/store";
/// Where the clock begins, ms since the epoch.
pub(crate) const BEGIN: i64 = 1_700_000_000_000;

/// Seeds from here on have light queues and inner batches.
const FIRST_WITH_MORE: u64 = 5_000_000;
/// From here on some seeds have extended queues.
const FIRST_WITH_EXTENSIONS: u64 = 6_000_000;

/// What happens between two starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Append,
    Flush,
    Sync,
    Read,
    Audit,
    Wait,
    Retain,
    DeleteTopic,
    CleanQueues,
    Save,
    FillDisk,
    Fail,
}

/// How a process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Close,
    Kill,
    PowerLoss,
    /// Within a change, then killed or without power.
    Die,
}

/// One seed's choices.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) settings: Settings,
    pub(crate) topics: Vec<String>,
    /// How many of the topics are no light queues, which come behind them.
    pub(crate) own_topics: usize,
    /// Whether the first topic has queues of inner batches.
    pub(crate) batch_queues: bool,
    /// Whether such batches are sent there, besides single messages.
    pub(crate) inner_batches: bool,
    pub(crate) queues: u64,
    pub(crate) lives: u64,
    pub(crate) steps: u64,
    /// Steps and how often each comes.
    pub(crate) mix: Vec<(Step, u64)>,
    pub(crate) ends: Vec<End>,
    pub(crate) losses: Vec<Loss>,
    pub(crate) body_max: u64,
    pub(crate) batches: bool,
    pub(crate) half_messages: bool,
    pub(crate) zeros: bool,
    pub(crate) die_in_recovery: bool,
    pub(crate) read_faults: bool,
    pub(crate) write_faults: bool,
    pub(crate) flips: bool,
    pub(crate) clock_steps: bool,
    pub(crate) slow_one_in: u64,
    pub(crate) names_in_order: bool,
    /// Extended queues come and go, and their files change their size.
    pub(crate) extensions_change: Option<Random>,
}

impl Plan {
    /// What `random` chooses.
    pub(crate) fn draw(random: &mut Random) -> Self {
        let flush_mode = random.pick(&[FlushMode::Async, FlushMode::Sync]);
        let settings = Settings {
            root: Path::new(ROOT).into(),
            flush_mode,
            commit_log_file_bytes: random.pick(&[4096, 8192, 10_240, 16 << 10, 64 << 10]),
            consume_queue_file_bytes: 20 * random.pick(&[50, 110, 300]),
            index_slots: random.pick(&[1, 7, 100, 1500]),
            index_entries: random.pick(&[400, 1000]),
            append_property_crc: random.one_in(4),
            query_messages: 10_000,
            ..Settings::default()
        };
        let mut topics = vec!["T".to_owned()];
        let more = [
            "Other",
            "%RETRY%group",
            &format!("%RETRY%{}", "long".repeat(35)),
            names::SCHEDULE_TOPIC,
        ];
        topics.extend(more.iter().filter(|_| random.one_in(2)).map(|topic| (*topic).to_owned()));
        let mut mix = vec![(Step::Append, 10)];
        let optional = [
            (Step::Flush, 4),
            (Step::Sync, 4),
            (Step::Read, 4),
            (Step::Audit, 1),
            (Step::Wait, 3),
            (Step::Retain, 2),
            (Step::DeleteTopic, 1),
            (Step::CleanQueues, 1),
            (Step::Save, 2),
            (Step::FillDisk, 1),
            (Step::Fail, 1),
        ];
        mix.extend(optional.iter().filter(|_| !random.one_in(3)));
        let mut ends = vec![random.pick(&[End::Kill, End::PowerLoss])];
        ends.extend(
            [End::Close, End::Kill, End::PowerLoss, End::Die].iter().filter(|_| random.one_in(2)),
        );
        let mut losses = Loss::ALL.to_vec();
        losses.retain(|_| random.one_in(2));
        losses.push(random.pick(&Loss::ALL));
        Self {
            own_topics: topics.len(),
            topics,
            batch_queues: false,
            inner_batches: false,
            queues: 1 + random.below(4),
            lives: 2 + random.below(5),
            steps: random.pick(&[4, 15, 40]),
            mix,
            ends,
            losses,
            body_max: random.pick(&[20, 90, 700, 3_000]).min(settings.commit_log_file_bytes / 3),
            batches: random.one_in(2),
            half_messages: random.one_in(2),
            zeros: random.one_in(2),
            die_in_recovery: random.one_in(2),
            read_faults: random.one_in(3),
            write_faults: random.one_in(2),
            flips: random.one_in(5),
            clock_steps: random.one_in(4),
            slow_one_in: random.pick(&[0, 0, 50]),
            names_in_order: !random.one_in(3),
            extensions_change: None,
            settings,
        }
    }

    /// Some runs have files so small that nearly every write begins one. An index file has room for
    /// all keys of a message: one that lacks some of them is told by its first key.
    pub(crate) fn with_small_files(mut self, random: &mut Random) -> Self {
        // With flips a file's last unit says alone whether all before it has expired.
        if random.one_in(4) && !self.flips {
            self.settings.consume_queue_file_bytes = 20 * random.pick(&[1, 2, 5, 17]);
        }
        if random.one_in(4) {
            self.settings.index_entries = random.pick(&[5, 17, 40]);
        }
        // What a flipped bit costs is checked of units of 20 bytes.
        self.batch_queues = random.one_in(3) && !self.flips;
        self.settings.batch_queue_file_bytes = 46 * random.pick(&[3, 17, 50]);
        self
    }

    /// Light queues and inner batches, which seeds before [`FIRST_WITH_MORE`] do not have: what was
    /// found with these stays as it was.
    pub(crate) fn with_more(mut self, seed: u64) -> Self {
        if seed < FIRST_WITH_MORE {
            return self;
        }
        let mut random = Random::new(seed.rotate_left(32));
        self.batch_queues |= random.one_in(3);
        self.inner_batches = self.batch_queues && !random.one_in(4);
        if random.one_in(2) {
            self.settings.light_queues = true;
            let names = [1, 2, 3].map(|number| format!("{}{number}", names::LMQ_PREFIX));
            self.topics.extend(names.into_iter().take(1 + random.index(3)));
        }
        self
    }

    /// Extended queues, which seeds before [`FIRST_WITH_EXTENSIONS`] do not have. Nothing tells a
    /// bit of them that has flipped.
    pub(crate) fn with_extensions(mut self, seed: u64) -> Self {
        let mut random = Random::new(seed.rotate_left(16));
        if seed >= FIRST_WITH_EXTENSIONS && !self.flips && !random.one_in(3) {
            self.settings.extension_file_bytes = Some(random.pick(&[256, 300, 1_000, 4_096]));
            self.extensions_change = random.one_in(3).then_some(random);
        }
        self
    }

    /// Where the setting changes from start to start.
    pub(crate) fn change_extensions(&mut self) {
        if let Some(random) = &mut self.extensions_change {
            let bytes = random.pick(&[None, Some(300), Some(1_000)]);
            self.settings.extension_file_bytes = bytes;
        }
    }

    /// Some of the light queues, as a message names them; none where there are none.
    pub(crate) fn light_queues(&self, random: &mut Random) -> Vec<usize> {
        let all = self.own_topics..self.topics.len();
        if all.is_empty() || !random.one_in(2) {
            return Vec::new();
        }
        all.filter(|_| !random.one_in(3)).collect()
    }

    pub(crate) fn is_sync(&self) -> bool {
        self.settings.flush_mode == FlushMode::Sync
    }

    /// One step of the mix.
    pub(crate) fn step(&self, random: &mut Random) -> Step {
        let mut at = random.below(self.mix.iter().map(|(_, weight)| weight).sum());
        for (step, weight) in &self.mix {
            match at.checked_sub(*weight) {
                None => return *step,
                Some(rest) => at = rest,
            }
        }
        Step::Append
    }
}
