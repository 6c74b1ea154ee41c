//! `rockhopper ready`: one question to a server, for scripts and probes.

use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::bail;
use remoting::body::table::KVTable;
use remoting::client::{Client, Deaf};
use remoting::codes::{RequestCode, ResponseCode};
use remoting::command::Command;
use remoting::json;

use crate::FAILED;
use crate::cli::Ready;
use crate::routes::TIMEOUT;

/// Prints `ready`, or what keeps a server from being so.
pub(crate) async fn run(ready: Ready) -> anyhow::Result<ExitCode> {
    let said = match &ready.namesrv {
        Some(namesrv) => ask(namesrv, RequestCode::GET_BROKER_CLUSTER_INFO).await?.map(|_| None),
        None => ask(&ready.broker, RequestCode::GET_BROKER_RUNTIME_INFO).await?.map(state),
    };
    // A stock broker, and a name server, is ready when it answers.
    let said = said.map(|said| said.unwrap_or_else(|| broker::readiness::READY.to_owned()));
    let said = said.unwrap_or_else(|why| why);
    writeln!(std::io::stdout(), "{said}")?;
    let is_ready = said == broker::readiness::READY;
    Ok(if is_ready { ExitCode::SUCCESS } else { ExitCode::from(FAILED) })
}

/// The answer, or the words with which the server refuses.
async fn ask(address: &str, code: RequestCode) -> anyhow::Result<Result<Command, String>> {
    let client = Client::new(Arc::new(Deaf));
    let answer = client.call(address, Command::request(code), TIMEOUT).await;
    client.close().await;
    let Ok(answer) = answer else { bail!("not ready: nobody answers at {address}") };
    Ok(match answer.response_code() {
        ResponseCode::SUCCESS => Ok(answer),
        code => Err(answer.head.remark.map_or_else(|| format!("{code:?}"), |it| it.to_string())),
    })
}

/// What a broker of ours says of itself.
fn state(answer: Command) -> Option<String> {
    let table: KVTable = json::from_body(&answer.body).ok()?;
    table.table.get(broker::readiness::KEY).map(|state| state.to_string())
}
