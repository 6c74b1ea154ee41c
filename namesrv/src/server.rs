//! The tokio shell of the name server: the port, the clock, the look for silent brokers, and word
//! to brokers. No decision is made here.

use crate::handlers::Told;
use crate::routes::Notice;
use crate::state::Namesrv;
use crate::table;
use remoting::client::{Client, Deaf};
use remoting::codes::{RequestCode, ResponseCode};
use remoting::command::Command;
use remoting::connection::{Arrived, Serve};
use remoting::headers::ha::NotifyMinBrokerIdChangeRequestHeader;
use remoting::peer::Peer;
use remoting::reply::{Answer, Asker, Refusal, Reply, Ticket};
use remoting::room::Room;
use remoting::router::{Call, Lane, Router};
use remoting::server::{self, Options};
use settings::NamesrvSettings;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::RawFd;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

/// Requests that may wait for the disk at a time; one more is refused.
const WRITES: usize = 64;

/// A name server that has its port and does not serve yet.
#[derive(Debug)]
pub struct Server {
    listening: server::Server,
    shell: Arc<Shell>,
    scan_every: Duration,
}

impl Server {
    /// Reads the key-value configuration and binds the port that the settings name. No connection
    /// may have a file descriptor above `descriptors`.
    ///
    /// # Errors
    /// When the file can't be read or the address can't be bound; the error names it.
    pub async fn bind(settings: NamesrvSettings, descriptors: RawFd) -> io::Result<Self> {
        let net = &settings.net;
        let idle = Duration::from_secs(net.server_channel_max_idle_time_seconds.max(1) as u64);
        let scan_ms = settings.namesrv.scan_not_active_broker_interval.max(1) as u64;
        let address = address(net)?;
        let backlog = net.server_socket_backlog.unsigned_abs();
        let options = Options { idle, descriptors, backlog, ..Options::default() };
        let listening = server::Server::bind(address, options).await;
        let listening = listening.map_err(|error| {
            io::Error::new(
                error.kind(),
                format!("the name server can't listen on {address}: {error}"),
            )
        })?;
        let shell = Shell {
            core: Arc::new(Core {
                namesrv: Namesrv::open(settings, now_ms())?,
                router: table::router(),
            }),
            client: Arc::new(Client::new(Arc::new(Deaf))),
            writes: Arc::new(Semaphore::new(WRITES)),
            runtime: Handle::current(),
        };
        let scan_every = Duration::from_millis(scan_ms);
        Ok(Self { listening, shell: Arc::new(shell), scan_every })
    }

    /// The address that it listens on.
    ///
    /// # Errors
    /// When the socket has none.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listening.address()
    }

    /// Serves until `stop`; answers that are under way are sent.
    pub async fn run(self, stop: CancellationToken) {
        let Self { listening, shell, scan_every } = self;
        let mut scan = tokio::time::interval(scan_every);
        scan.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let scans = async {
            loop {
                scan.tick().await;
                shell.tell(shell.core.namesrv.expire(now_ms()));
            }
        };
        let serving = listening.run(Arc::clone(&shell) as Arc<dyn Serve>, stop);
        tokio::select! {
            () = serving => {}
            () = scans => {}
        }
        // The writes that were begun end before this does.
        let _ = shell.writes.acquire_many(WRITES as u32).await;
        shell.client.close().await;
    }
}

fn address(net: &settings::Net) -> io::Result<SocketAddr> {
    let invalid = |what: String| io::Error::new(io::ErrorKind::InvalidInput, what);
    let ip: IpAddr = net.bind_address.parse().map_err(|_| {
        invalid(format!("bindAddress={}: expected an IP address", net.bind_address))
    })?;
    let port = u16::try_from(net.listen_port)
        .map_err(|_| invalid(format!("listenPort={}: expected 0 to 65535", net.listen_port)))?;
    Ok(SocketAddr::new(ip, port))
}

fn now_ms() -> i64 {
    let since = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
    since.as_millis().try_into().unwrap_or(i64::MAX)
}

/// What requests are run with.
#[derive(Debug)]
struct Core {
    namesrv: Namesrv,
    router: Router<Namesrv, Told>,
}

impl Core {
    fn run(&self, peer: &Arc<Peer>, command: &Command) -> Reply<Told> {
        let (lane, room) = (self.router.lane(command.code()), Room::default());
        let call = Call { peer, command, now_ms: now_ms(), lane, room: &room };
        self.router.run(&self.namesrv, &call)
    }
}

#[derive(Debug)]
struct Shell {
    core: Arc<Core>,
    /// For word to brokers.
    client: Arc<Client>,
    writes: Arc<Semaphore>,
    runtime: Handle,
}

impl Serve for Shell {
    fn serve(&self, arrived: &mut [Arrived]) {
        for one in arrived {
            one.each(|peer, request, out| {
                if let Some(answer) = self.run(peer, request) {
                    Ticket::of(request).answer(answer, out);
                }
            });
        }
    }

    fn closed(&self, peer: &Arc<Peer>) {
        self.tell(self.core.namesrv.closed(peer));
    }
}

impl Shell {
    /// Gives the answer to a request, if there is one now.
    fn run(&self, peer: &Arc<Peer>, request: &Command) -> Option<Answer> {
        match self.core.router.lane(request.code()) {
            Lane::Blocking => self.write(peer, request.clone()).err().map(Answer::from),
            Lane::Inline => self.finish(self.core.run(peer, request)),
        }
    }

    /// Does what a reply asks for, and gives the answer.
    fn finish(&self, reply: Reply<Told>) -> Option<Answer> {
        match reply {
            Reply::Answer(answer) => Some(answer),
            Reply::Later | Reply::Silent => None,
            Reply::Effect(Told { answer, notices }) => {
                self.tell(notices);
                Some(answer)
            }
        }
    }

    /// Runs a request that waits for the disk, away from the event loop.
    fn write(&self, peer: &Arc<Peer>, request: Command) -> Result<(), Refusal> {
        let permit = Arc::clone(&self.writes).try_acquire_owned().map_err(|_| {
            let remark = format!("{WRITES} changes wait for the disk already; try again");
            Refusal::new(ResponseCode::SYSTEM_BUSY, remark)
        })?;
        let (core, peer) = (Arc::clone(&self.core), Arc::clone(peer));
        self.runtime.spawn_blocking(move || {
            if let Reply::Answer(answer) = core.run(&peer, &request) {
                Asker::new(&peer, Ticket::of(&request)).answer(answer);
            }
            drop(permit);
        });
        Ok(())
    }

    /// Tells brokers; those that can't be reached will ask.
    fn tell(&self, notices: Vec<Notice>) {
        for notice in notices {
            let client = Arc::clone(&self.client);
            self.runtime.spawn(async move {
                let request = request(&notice);
                for address in &notice.to {
                    if let Err(error) = client.oneway(address, request.clone()).await {
                        tracing::warn!(%address, %error, "a broker was not told of its peers");
                    }
                }
            });
        }
    }
}

/// The request that carries a notice (code 905).
fn request(notice: &Notice) -> Command {
    let header = NotifyMinBrokerIdChangeRequestHeader {
        min_broker_id: Some(notice.min_id),
        min_broker_addr: Some(notice.min_address.clone()),
        offline_broker_addr: notice.offline.clone(),
        ha_broker_addr: notice.ha_address.clone(),
        ..NotifyMinBrokerIdChangeRequestHeader::default()
    };
    Command::request(RequestCode::NOTIFY_MIN_BROKER_ID_CHANGE).with_header(&header)
}
