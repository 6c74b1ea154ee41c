//! From flags, environment and files to checked settings; what is wrong goes to standard error.
//!
//! The rules themselves are in `settings`.

use std::fs;
use std::io::{self, Write};
use std::net::IpAddr;
use std::path::Path;

use settings::{BrokerSettings, Checked, Family, File, Given, check};

use crate::cli::Server;
use crate::surroundings::{Environment, look_up, machine};
use crate::tell;

/// Files above this size are no property files.
const LARGEST_FILE_BYTES: u64 = 1 << 20;

/// What may be used; otherwise nothing starts, and why was printed.
pub(crate) type Loaded<T> = Result<T, Refused>;

/// Something in the configuration is wrong, and the operator has been told what.
#[derive(Debug)]
pub(crate) struct Refused;

/// Reads what `broker` and `namesrv` were given.
pub(crate) fn load<S: Family>(server: &Server) -> Loaded<Checked<S>> {
    let mut given = Vec::new();
    if let Some(addresses) = &server.namesrv_addr
        && S::PROCESS == "broker"
    {
        given.push(Given { source: "-n", key: "namesrvAddr", value: addresses });
    }
    given.extend(pairs(&server.set)?);
    let file = server.config_file.as_deref().map(read).transpose()?;
    load_from(file.as_ref().map(|(name, bytes)| File { name, bytes }), &given)
}

/// Reads the environment, a file and some options.
pub(crate) fn load_from<S: Family>(
    file: Option<File<'_>>,
    options: &[Given<'_>],
) -> Loaded<Checked<S>> {
    let environment = Environment::read();
    let mut stderr = io::stderr().lock();
    for (variable, option) in &environment.refused {
        refuse(&format!("{variable}: {option} asks for TLS, which is not in this version"));
    }
    // A name server asks nobody: the address is for brokers alone.
    let names = if S::PROCESS == "broker" { environment.given() } else { Vec::new() };
    let mut checked: Checked<S> = check(&machine(&environment), &names, file, options);
    for found in &checked.diagnostics {
        // Without standard error nobody can be told.
        let _ = writeln!(stderr, "{found}");
    }
    if !checked.is_ok() || !environment.refused.is_empty() {
        return Err(Refused);
    }
    let _ = write!(stderr, "{}", idle_text(&checked));
    if let Some(home) = environment.rocketmq_home {
        checked.settings.unread_mut().entry("rocketmqHome".to_owned()).or_insert(home);
    }
    Ok(checked)
}

/// The settings that were accepted and change nothing, grouped by their reason.
fn idle_text<S>(checked: &Checked<S>) -> String {
    let mut reasons: Vec<&str> = checked.idle.iter().map(|idle| idle.reason).collect();
    reasons.sort_unstable();
    reasons.dedup();
    let mut text = String::new();
    for reason in reasons {
        let keys = checked.idle.iter().filter(|idle| idle.reason == reason);
        let keys: Vec<&str> = keys.map(|idle| idle.key.as_str()).collect();
        text += &format!("accepted without effect: {} ({reason})\n", keys.join(", "));
    }
    text
}

/// The pairs of `--set`.
pub(crate) fn pairs(set: &[String]) -> Loaded<Vec<Given<'_>>> {
    set.iter()
        .map(|pair| {
            let (key, value) = pair.split_once('=').ok_or_else(|| {
                refuse(&format!("--set {pair}: expected KEY=VALUE"));
                Refused
            })?;
            Ok(Given { source: "--set", key: key.trim(), value })
        })
        .collect()
}

/// The address that stored messages carry where `brokerIP1` is a host name.
pub(crate) fn host_ip(settings: &BrokerSettings) -> Loaded<Option<IpAddr>> {
    let host = &settings.broker.broker_ip1;
    look_up(host).map_err(|error| {
        refuse(&format!(
            "brokerIP1={host}: the name does not resolve on this machine ({error}), and stored \
             messages carry its address. Make it known (DNS, /etc/hosts), or write the address"
        ));
        Refused
    })
}

fn read(path: &Path) -> Loaded<(String, Vec<u8>)> {
    let name = path.display().to_string();
    let too_large = fs::metadata(path).is_ok_and(|found| found.len() > LARGEST_FILE_BYTES);
    let why = if too_large {
        format!("it is larger than {LARGEST_FILE_BYTES} bytes, so it is no property file")
    } else {
        match fs::read(path) {
            Ok(bytes) => return Ok((name, bytes)),
            Err(error) if path.is_relative() => {
                let here = std::env::current_dir().unwrap_or_default();
                format!(
                    "{error} (-c names it; looked for from {}, the present directory)",
                    here.display()
                )
            }
            Err(error) => format!("{error} (-c names it)"),
        }
    };
    refuse(&format!("{name}: {why}"));
    Err(Refused)
}

/// Says what refuses the start.
fn refuse(why: &str) {
    tell(&format!("error: {why}"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_without_effect_are_listed_by_reason() {
        let file = File { name: "f", bytes: b"sendMessageThreadPoolNums=9\nhighSpeedMode=true\n" };
        let checked = check::<BrokerSettings>(&settings::Machine::default(), &[], Some(file), &[]);
        let text = idle_text(&checked);
        assert_eq!(text.lines().count(), 1, "{text}");
        assert!(text.contains("sendMessageThreadPoolNums, highSpeedMode ("), "{text}");
    }

    #[test]
    fn pairs_need_a_key_and_a_value() {
        let pair = vec!["brokerName=a=b".to_owned()];
        let given = pairs(&pair).expect("a pair");
        assert_eq!((given[0].key, given[0].value), ("brokerName", "a=b"));
        assert!(pairs(&["brokerName".to_owned()]).is_err());
    }
}
