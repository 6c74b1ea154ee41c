//! The command line: sub-commands, their flags, and the help that teaches them.
//!
//! Java's start scripts are understood too: called as `mqbroker` or `mqnamesrv`, the program is the
//! sub-command of that name. Nothing is done here.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::{ArgGroup, Args, Parser, Subcommand};

/// A message broker that is Apache RocketMQ on the wire and on the disk.
#[derive(Debug, Parser)]
#[command(name = "rockhopper", version = env!("ROCKHOPPER_VERSION"), arg_required_else_help = true)]
#[command(after_help = "\
Examples:
  rockhopper dev                            name server and broker in one process, in ./data
  rockhopper send Hello 'first message'     send to it
  rockhopper tail Hello --from-start        and read it back

  rockhopper namesrv -c namesrv.conf        with Java's files, keys and flags
  rockhopper broker  -c broker.conf -n 10.0.0.1:9876

  rockhopper store verify data              whether the files of a store are sound

Exit status: 0 stopped cleanly, 1 failed while running, 2 wrong usage, 74 the disk failed,
78 wrong configuration.")]
pub(crate) struct Cli {
    /// What to log to standard error, like `info` or `warn,broker=debug`.
    #[arg(long, global = true, value_name = "FILTER", default_value = "warn,rockhopper=info")]
    pub(crate) log: String,
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run name server and broker in one process, for trying and testing.
    #[command(after_help = "\
Examples:
  rockhopper dev
  rockhopper dev --data /tmp/mq --set flushDiskType=SYNC_FLUSH
  rockhopper dev --bind 0.0.0.0 --set brokerIP1=192.168.1.20    reachable from other machines")]
    Dev(Dev),
    /// Run a name server.
    #[command(after_help = "\
Examples:
  rockhopper namesrv
  rockhopper namesrv -c conf/namesrv.conf
  rockhopper namesrv -c conf/namesrv.conf -p      print every setting and stop")]
    Namesrv(Server),
    /// Run a broker.
    #[command(after_help = "\
Examples:
  rockhopper broker -n 127.0.0.1:9876
  rockhopper broker -c conf/broker.conf -n '10.0.0.1:9876;10.0.0.2:9876'
  rockhopper broker -c conf/broker.conf -m        print the important settings and stop

The name servers come from -n, else from namesrvAddr in the file, else from
-Drocketmq.namesrv.addr in JAVA_OPT, else from NAMESRV_ADDR.")]
    Broker(Server),
    /// Ask a broker or name server whether it is ready, for scripts and probes.
    #[command(after_help = "\
Examples:
  rockhopper ready
  rockhopper ready --broker 10.0.0.1:10911
  rockhopper ready --namesrv 10.0.0.1:9876
  until rockhopper ready; do sleep 1; done

Prints `ready`, or why not: `recovering, 40 % (reading the commit log)`. Exit status: 0 ready,
1 not ready. A broker that is full is not ready, though messages can be read.")]
    Ready(Ready),
    /// Send messages to a topic.
    #[command(after_help = "\
Examples:
  rockhopper send Hello 'first message'
  rockhopper send Orders '{\"id\":7}' --tag paid --key 7
  rockhopper send Load -n 1000 --size 512         1000 messages of 512 bytes
  echo 'from a pipe' | rockhopper send Hello -    one message for each line")]
    Send(Send),
    /// Print the messages of a topic as they arrive.
    #[command(after_help = "\
Examples:
  rockhopper tail Hello                           what comes from now on
  rockhopper tail Hello --from-start -n 10        the oldest ten
  rockhopper tail Orders --group audit            goes on where the group stopped")]
    Tail(Tail),
    /// Look at a store's files: what is there, whether it is sound, what another broker would do.
    #[command(
        subcommand,
        after_help = "\
Nothing is ever written and no lock is taken: all of it works on the directory of a running broker,
of ours or Java's, and on a copy.

At night, after a crash:
  rockhopper store verify /data/store                     is anything damaged, and what to do
  rockhopper store dump /data/store --offset 73014444     the record at the place that it named
  rockhopper store preflight /data/store --to java-5.5    before a Java broker gets the directory"
    )]
    Store(Look),
    /// Print the completion script of a shell.
    #[command(after_help = "\
Example:
  rockhopper completions bash > /etc/bash_completion.d/rockhopper")]
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
}

/// Flags of `dev`.
#[derive(Args, Debug)]
pub(crate) struct Dev {
    /// Directory of everything that is kept.
    #[arg(long, value_name = "DIR", default_value = "data")]
    pub(crate) data: PathBuf,
    /// Address to listen on, and that clients are told.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1")]
    pub(crate) bind: String,
    /// Port of the name server.
    #[arg(long, value_name = "PORT", default_value_t = settings::NAMESRV_PORT)]
    pub(crate) namesrv_port: u16,
    /// Port of the broker; the port 2 below it serves the same.
    #[arg(long, value_name = "PORT", default_value_t = settings::BROKER_PORT)]
    pub(crate) broker_port: u16,
    /// A setting of the broker, in Java's spelling; may be repeated.
    #[arg(long, value_name = "KEY=VALUE")]
    pub(crate) set: Vec<String>,
}

/// Java's flags of `mqbroker` and `mqnamesrv`.
#[derive(Args, Debug)]
pub(crate) struct Server {
    /// Property file with the settings.
    #[arg(short = 'c', long = "configFile", value_name = "FILE")]
    pub(crate) config_file: Option<PathBuf>,
    /// Name servers, like `10.0.0.1:9876;10.0.0.2:9876`.
    #[arg(short = 'n', long = "namesrvAddr", value_name = "ADDRESSES")]
    pub(crate) namesrv_addr: Option<String>,
    /// Print every setting and stop.
    #[arg(short = 'p', long = "printConfigItem")]
    pub(crate) print_all: bool,
    /// Print the important settings and stop.
    #[arg(short = 'm', long = "printImportantConfig")]
    pub(crate) print_important: bool,
    /// A setting, in Java's spelling; may be repeated.
    #[arg(long, value_name = "KEY=VALUE")]
    pub(crate) set: Vec<String>,
}

/// What to look at in a store.
#[derive(Debug, Subcommand)]
pub(crate) enum Look {
    /// List what is there: files, ranges, times, topics and queues, index, checkpoint.
    #[command(after_help = "\
Examples:
  rockhopper store inspect /data/store
  rockhopper store inspect -c conf/broker.conf --json | jq '.topics[].topic'")]
    Inspect(Directory),
    /// Read every record, queue unit and index entry, and say what is damaged.
    #[command(after_help = "\
Examples:
  rockhopper store verify /data/store
  rockhopper store verify -c conf/broker.conf --json > report.json

What a running broker is just writing is not taken for damage: the checkpoint says how far
everything must be in the files.

Exit status: 0 sound, 1 damage found (its first place and count are printed, and what to do),
2 the directory cannot be looked at.")]
    Verify(Directory),
    /// Print records with all their fields.
    #[command(after_help = "\
Examples:
  rockhopper store dump /data/store --offset 73014444              the record at a log offset
  rockhopper store dump /data/store --offset 0 --count 10          and those behind it
  rockhopper store dump /data/store --topic Orders --queue 3       a queue's first record
  rockhopper store dump /data/store --topic Orders --queue 3 --from 1200 --count 5
  rockhopper store dump /data/store --topic Rates --queue 0 --compacted --count 5

Exit status: 0 printed, 1 one of them is damaged or no record begins there, 2 there is no such
place.")]
    Dump(Dump),
    /// Tell what another broker would do with the directory: what it refuses, loses, rebuilds.
    #[command(after_help = "\
Examples:
  rockhopper store preflight /data/store --to java-5.5      before a Java broker is started on it
  rockhopper store preflight /data/store --to rockhopper    before Rockhopper takes over Java's

Stop the broker first, cleanly if it can be: after a kill Java reads more and drops more.

Exit status: 0 it starts and loses nothing, 1 it does not start or loses something, 2 the directory
cannot be looked at.")]
    Preflight(Preflight),
}

/// Flags of `store preflight`.
#[derive(Args, Debug)]
pub(crate) struct Preflight {
    #[command(flatten)]
    pub(crate) directory: Directory,
    /// The broker.
    #[arg(long, value_name = "BROKER")]
    pub(crate) to: Target,
}

/// A broker that may be started on a directory.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub(crate) enum Target {
    #[value(name = "java-5.5")]
    Java55,
    #[value(name = "java-5.3")]
    Java53,
    #[value(name = "java-4.9")]
    Java49,
    #[value(name = "rockhopper")]
    Rockhopper,
}

fn one_or_both(args: [&'static str; 2]) -> ArgGroup {
    ArgGroup::new("store").args(args).required(true).multiple(true)
}

/// The directory of a store.
#[derive(Args, Debug)]
#[group(skip)]
#[command(group = one_or_both(["dir", "config_file"]))]
pub(crate) struct Directory {
    /// The directory that storePathRootDir names, or a copy of it.
    pub(crate) dir: Option<PathBuf>,
    /// The broker's property file: paths and sizes of files are taken from it.
    #[arg(short = 'c', long = "configFile", value_name = "FILE")]
    pub(crate) config_file: Option<PathBuf>,
    /// A setting of the broker, in Java's spelling; may be repeated.
    #[arg(long, value_name = "KEY=VALUE")]
    pub(crate) set: Vec<String>,
    /// Print JSON instead of tables.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Flags of `store dump`.
#[derive(Args, Debug)]
#[group(skip)]
#[command(group = ArgGroup::new("place").args(["offset", "topic"]).required(true))]
pub(crate) struct Dump {
    #[command(flatten)]
    pub(crate) directory: Directory,
    /// Where a record begins in the commit log, bytes.
    #[arg(long, value_name = "LOG OFFSET", conflicts_with_all = ["topic", "queue", "from"])]
    pub(crate) offset: Option<i64>,
    /// A topic.
    #[arg(long, requires = "queue")]
    pub(crate) topic: Option<String>,
    /// A queue of the topic.
    #[arg(long, value_name = "ID", requires = "topic")]
    pub(crate) queue: Option<i32>,
    /// The queue offset to begin with; the queue's first unless it is given.
    #[arg(long, value_name = "QUEUE OFFSET")]
    pub(crate) from: Option<i64>,
    /// What a compacted topic keeps, which may have expired from the commit log.
    #[arg(long, requires = "topic")]
    pub(crate) compacted: bool,
    /// How many records.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) count: u64,
    /// The most bytes of a body that are printed.
    #[arg(long, value_name = "BYTES", default_value_t = 1024)]
    pub(crate) body: usize,
}

/// Where the name servers of a client are.
#[derive(Args, Debug)]
pub(crate) struct NameServers {
    /// Name servers, with `;` between them.
    #[arg(long, env = "NAMESRV_ADDR", value_name = "ADDRESSES", default_value = "127.0.0.1:9876")]
    pub(crate) namesrv: String,
}

/// Flags of `ready`.
#[derive(Args, Debug)]
pub(crate) struct Ready {
    /// The broker to ask.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:10911")]
    pub(crate) broker: String,
    /// A name server to ask instead.
    #[arg(long, value_name = "ADDRESS", conflicts_with = "broker")]
    pub(crate) namesrv: Option<String>,
}

/// Flags of `send`.
#[derive(Args, Debug)]
pub(crate) struct Send {
    /// The topic.
    pub(crate) topic: String,
    /// The body; `-` reads one from each line of standard input.
    #[arg(required_unless_present = "size")]
    pub(crate) body: Option<String>,
    /// Tag, by which consumers may filter.
    #[arg(long)]
    pub(crate) tag: Option<String>,
    /// Keys by which messages can be found, with blanks between them.
    #[arg(long)]
    pub(crate) key: Option<String>,
    /// How often to send it.
    #[arg(short = 'n', long = "count", value_name = "N", default_value_t = 1)]
    pub(crate) count: u64,
    /// Fill or cut the body to this many bytes.
    #[arg(long, value_name = "BYTES")]
    pub(crate) size: Option<usize>,
    #[command(flatten)]
    pub(crate) servers: NameServers,
}

/// Flags of `tail`.
#[derive(Args, Debug)]
pub(crate) struct Tail {
    /// The topic.
    pub(crate) topic: String,
    /// Go on where this group stopped, and keep how far it came.
    #[arg(long)]
    pub(crate) group: Option<String>,
    /// Begin with the oldest message instead of the next one.
    #[arg(long)]
    pub(crate) from_start: bool,
    /// Stop after this many messages.
    #[arg(short = 'n', long = "count", value_name = "N")]
    pub(crate) count: Option<u64>,
    #[command(flatten)]
    pub(crate) servers: NameServers,
}

/// The arguments as clap shall see them: Java's names of the program become sub-commands.
///
/// # Errors
/// When a flag asks for the proxy, which is not in this version.
pub(crate) fn arguments(given: Vec<OsString>) -> Result<Vec<OsString>, String> {
    let called = given.first().map(Path::new).and_then(Path::file_stem);
    let alias = match called.and_then(|name| name.to_str()) {
        Some("mqbroker") => Some("broker"),
        Some("mqnamesrv") => Some("namesrv"),
        _ => None,
    };
    let mut arguments = given;
    if let Some(command) = alias {
        arguments.splice(..1, ["rockhopper".into(), command.into()]);
    }
    // `-pc` would be read as `-p -c`.
    let proxy = ["--enable-proxy", "-pc", "-pm", "--proxyConfigPath", "--proxyMode"];
    let server = arguments.get(1).is_some_and(|command| command == "broker");
    match arguments.iter().skip(2).find(|argument| proxy.iter().any(|flag| *argument == *flag)) {
        Some(flag) if server => Err(format!(
            "{} asks for the gRPC proxy, which is not in this version; \
             start without it and let clients use the remoting protocol",
            flag.display()
        )),
        _ => Ok(arguments),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn parse(line: &str) -> Result<Cli, String> {
        let given = line.split_ascii_whitespace().map(OsString::from).collect();
        Cli::try_parse_from(arguments(given)?).map_err(|error| error.to_string())
    }

    #[test]
    fn the_table_of_flags_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_version_names_the_commit_where_one_is_known() {
        let command = Cli::command();
        let version = command.get_version().unwrap();
        let rest = version.strip_prefix(env!("CARGO_PKG_VERSION")).unwrap();
        let commit = rest.strip_prefix(" (").and_then(|rest| rest.strip_suffix(')'));
        let is_commit = |text: &str| text.len() == 12 && u64::from_str_radix(text, 16).is_ok();
        assert!(rest.is_empty() || commit.is_some_and(is_commit), "{version}");
    }

    #[test]
    fn javas_names_and_flags_mean_the_same() {
        for line in [
            "mqbroker -c broker.conf -n 127.0.0.1:9876",
            "/opt/rocketmq/bin/mqbroker -n 127.0.0.1:9876 --configFile broker.conf",
            "rockhopper broker -c broker.conf --namesrvAddr 127.0.0.1:9876",
        ] {
            let Ok(Cli { command: Command::Broker(server), .. }) = parse(line) else {
                panic!("{line}")
            };
            assert_eq!(server.config_file.as_deref(), Some(Path::new("broker.conf")));
            assert_eq!(server.namesrv_addr.as_deref(), Some("127.0.0.1:9876"));
        }
        assert!(matches!(parse("mqnamesrv -p"), Ok(Cli { command: Command::Namesrv(_), .. })));
    }

    #[test]
    fn the_proxy_is_refused_in_words() {
        for line in ["mqbroker --enable-proxy", "rockhopper broker -n a:1 -pc proxy.json"] {
            assert!(parse(line).is_err_and(|error| error.contains("gRPC proxy")), "{line}");
        }
    }
}
