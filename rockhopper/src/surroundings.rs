//! What the process finds around itself: environment, host name, addresses, free space.
//!
//! Only looks; what the finds mean is decided in `settings` and in `banner`.

use std::env;
use std::net::{IpAddr, Ipv4Addr, ToSocketAddrs};
use std::os::fd::RawFd;
use std::path::Path;
use std::process;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use settings::{Given, Machine};

/// The environment variables whose `-D` options Java would see.
const JAVA_OPTIONS: [&str; 2] = ["JAVA_OPT", "JAVA_OPT_EXT"];

/// `SIGXFSZ`: a write would pass the process's limit of file sizes.
pub(crate) const FILE_SIZE_SIGNAL: i32 = rustix::process::Signal::XFSZ.as_raw();

/// What the environment says about settings.
#[derive(Debug, Default)]
pub(crate) struct Environment {
    /// Name servers, with the variable that named them.
    pub(crate) namesrv_addr: Option<(&'static str, String)>,
    /// `-Duser.home`, else `HOME`.
    pub(crate) home: Option<String>,
    /// The installation directory, which is shown and not read.
    pub(crate) rocketmq_home: Option<String>,
    /// Options that ask for what is not in this version, with the variable.
    pub(crate) refused: Vec<(&'static str, String)>,
}

impl Environment {
    /// Reads the variables that Java's start scripts and containers use.
    pub(crate) fn read() -> Self {
        Self::from(|name| env::var(name).ok())
    }

    fn from(variable: impl Fn(&str) -> Option<String>) -> Self {
        let mut found = Self {
            home: variable("HOME"),
            rocketmq_home: variable("ROCKETMQ_HOME"),
            ..Self::default()
        };
        found.namesrv_addr = variable("NAMESRV_ADDR").map(|value| ("NAMESRV_ADDR", value));
        for name in JAVA_OPTIONS {
            for option in variable(name).unwrap_or_default().split_ascii_whitespace() {
                let Some((key, value)) = option.strip_prefix("-D").and_then(|o| o.split_once('='))
                else {
                    continue;
                };
                match key {
                    "rocketmq.namesrv.addr" => found.namesrv_addr = Some((name, value.to_owned())),
                    "rocketmq.home.dir" => found.rocketmq_home = Some(value.to_owned()),
                    "user.home" => found.home = Some(value.to_owned()),
                    "tls.enable" if value == "true" => {
                        found.refused.push((name, option.to_owned()))
                    }
                    "tls.server.mode" if value == "enforcing" => {
                        found.refused.push((name, option.to_owned()));
                    }
                    _ => {}
                }
            }
        }
        found.namesrv_addr = found.namesrv_addr.filter(|(_, value)| !value.trim().is_empty());
        found
    }

    /// The settings that it names.
    pub(crate) fn given(&self) -> Vec<Given<'_>> {
        self.namesrv_addr
            .iter()
            .map(|(source, value)| Given { source, key: "namesrvAddr", value })
            .collect()
    }
}

/// The machine's defaults.
pub(crate) fn machine(environment: &Environment) -> Machine {
    Machine {
        home: environment.home.clone().unwrap_or_else(|| ".".to_owned()),
        host_name: rustix::system::uname().nodename().to_string_lossy().into_owned(),
        local_address: local_address().to_string(),
    }
}

/// The address that Java would pick (Java: `NetworkUtil.getLocalAddress`): of all interfaces that
/// are no loopback, bridge or tunnel, the first IPv4 one outside 192.168/16, else the last, else an
/// IPv6 one, else the loopback.
fn local_address() -> IpAddr {
    let interfaces = if_addrs::get_if_addrs().unwrap_or_default();
    let outside = interfaces.iter().filter(|interface| {
        !interface.is_loopback() && !interface.is_p2p() && !is_bridge(&interface.name)
    });
    pick(outside.map(if_addrs::Interface::ip))
}

fn pick(addresses: impl Iterator<Item = IpAddr>) -> IpAddr {
    let (mut last, mut six) = (None, None);
    for address in addresses {
        match address {
            IpAddr::V4(four)
                if !matches!(four.octets(), [127, 0, ..] | [192, 168, ..] | [0, ..]) =>
            {
                return address;
            }
            IpAddr::V4(_) => last = Some(address),
            IpAddr::V6(_) => six = six.or(Some(address)),
        }
    }
    last.or(six).unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST))
}

fn is_bridge(interface: &str) -> bool {
    Path::new("/sys/class/net").join(interface).join("bridge").exists()
}

/// What a broker needs to know besides its settings.
pub(crate) fn of_broker(host_ip: Option<IpAddr>) -> broker::server::Surroundings {
    let (now_ms, memory) = (broker::server::now_ms(), rustix::system::sysinfo());
    broker::server::Surroundings {
        now_ms,
        utc_offset_ms: utc_offset_ms(now_ms),
        memory_bytes: u64::from(memory.mem_unit) * memory.totalram,
        pid: process::id(),
        // Two starts with the same process id differ in their time.
        salt: now_ms as u32,
        host_ip,
    }
}

/// What a host name means here, `None` where it is an address already. Of several addresses the
/// first of version 4, as Java picks it.
pub(crate) fn look_up(host: &str) -> std::io::Result<Option<IpAddr>> {
    if host.parse::<IpAddr>().is_ok() {
        return Ok(None);
    }
    let found: Vec<IpAddr> = (host, 0).to_socket_addrs()?.map(|address| address.ip()).collect();
    let four = found.iter().find(|ip| ip.is_ipv4());
    let none = || std::io::Error::new(std::io::ErrorKind::NotFound, "it has no address");
    four.or_else(|| found.first()).copied().map(Some).ok_or_else(none)
}

/// Raises the limit of open files as far as the system allows, and says which file descriptor is
/// the highest that a connection may have: those above are the store's.
pub(crate) fn descriptors() -> RawFd {
    let limit = getrlimit(Resource::Nofile);
    // Where that is not allowed the lower limit holds.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
    let allowed = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let for_connections = allowed.saturating_sub(store::disk::reserved() as u64);
    RawFd::try_from(for_connections).unwrap_or(RawFd::MAX)
}

/// What local time is ahead of UTC now, in milliseconds.
fn utc_offset_ms(now_ms: i64) -> i64 {
    let now = jiff::Timestamp::from_millisecond(now_ms).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    let offset = jiff::tz::TimeZone::system().to_offset(now);
    i64::from(offset.seconds()) * 1_000
}

/// Free and whole space of the file system that holds a path, in bytes.
pub(crate) fn space(path: &Path) -> Option<(u64, u64)> {
    let existing = path.ancestors().find(|ancestor| ancestor.exists())?;
    let existing = if existing.as_os_str().is_empty() { Path::new(".") } else { existing };
    let found = rustix::fs::statvfs(existing).ok()?;
    Some((found.f_bavail * found.f_frsize, found.f_blocks * found.f_frsize))
}

/// Whether whoever started the process wants it to outlive its terminal, as `nohup` does; so too
/// where that cannot be seen.
pub(crate) fn ignores_hang_up() -> bool {
    let status = std::fs::read_to_string("/proc/self/status");
    status.ok().and_then(|status| is_hang_up_ignored(&status)).unwrap_or(true)
}

/// The first bit of the mask of ignored signals stands for signal 1, the end of the terminal.
fn is_hang_up_ignored(status: &str) -> Option<bool> {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"))?;
    Some(u64::from_str_radix(mask.trim(), 16).ok()? & 1 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn java_options_win_over_the_variable() {
        let environment = Environment::from(|name| match name {
            "NAMESRV_ADDR" => Some("a:1".into()),
            "JAVA_OPT" => Some("-Xmx8g -Drocketmq.namesrv.addr=b:2 -Duser.home=/srv".into()),
            "JAVA_OPT_EXT" => Some("-Dtls.server.mode=enforcing -Dtls.enable=false".into()),
            "HOME" => Some("/root".into()),
            _ => None,
        });
        assert_eq!(environment.namesrv_addr, Some(("JAVA_OPT", "b:2".into())));
        assert_eq!(environment.home.as_deref(), Some("/srv"));
        assert_eq!(environment.refused.len(), 1);
        let empty = Environment::from(|name| (name == "NAMESRV_ADDR").then(String::new));
        assert_eq!(empty.namesrv_addr, None);
    }

    #[test]
    fn picks_the_address_that_java_picks() {
        let check = |addresses: &[&str], expected: &str| {
            let addresses = addresses.iter().map(|text| text.parse().expect("an address"));
            assert_eq!(pick(addresses).to_string(), expected);
        };
        check(&["192.168.1.2", "10.0.0.3", "10.0.0.4"], "10.0.0.3");
        check(&["192.168.1.2", "192.168.1.3", "fe80::1"], "192.168.1.3");
        check(&["fe80::1"], "fe80::1");
        check(&[], "127.0.0.1");
    }

    #[test]
    fn nohup_is_seen_in_the_mask_of_ignored_signals() {
        let status = |mask| format!("SigBlk:\t0000000000000001\nSigIgn:\t{mask}\n");
        assert_eq!(is_hang_up_ignored(&status("0000000000001001")), Some(true));
        assert_eq!(is_hang_up_ignored(&status("0000000000001000")), Some(false));
        assert_eq!(is_hang_up_ignored("Name:\trockhopper\n"), None);
    }
}
