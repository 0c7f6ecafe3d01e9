//! HTTP and WebSocket on the same socket, through jsonrpsee's own service.
//!
//! `curl --unix-socket` and WebSocket libraries work, a web page does not: browsers send `Origin`
//! or `Referer`, and a page that tricks one into connecting under another name is told by `Host`.

mod guard;
mod rules;
mod throttle;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use jsonrpsee::server::middleware::rpc::RpcServiceBuilder;
use jsonrpsee::server::{
    BatchRequestConfig, Server, ServerConfig, TowerServiceBuilder, serve_with_graceful_shutdown,
    stop_channel,
};
use jsonrpsee::{Extensions, Methods};
use tokio::io::{AsyncRead, AsyncWrite, BufReader};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tower::layer::util::Identity;

use super::Limits;
use super::accept::{Ids, Options, drained};
use guard::Guarded;
use rules::CommonRules;
use throttle::Throttled;

/// How a request came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Transport {
    /// One request, one answer.
    Http,
    /// A connection that stays.
    WebSocket,
}

/// The library's service, configured once for all connections.
#[derive(Clone)]
pub(super) struct Web {
    builder: TowerServiceBuilder<Identity, Identity>,
    methods: Methods,
    limits: Limits,
    version: &'static str,
    stop: CancellationToken,
}

impl Web {
    pub(super) fn new(
        methods: &Methods,
        options: &Options,
        ids: Ids,
        stop: CancellationToken,
    ) -> Self {
        let limits = options.limits;
        let bounded = |limit: usize| u32::try_from(limit).unwrap_or(u32::MAX);
        let config = ServerConfig::builder()
            .max_request_body_size(bounded(limits.request_bytes_max))
            .max_response_body_size(bounded(limits.response_bytes_max))
            // Connections are counted where they are accepted.
            .max_connections(u32::MAX)
            .max_subscriptions_per_connection(limits.subscriptions_max)
            .set_batch_request_config(BatchRequestConfig::Limit(bounded(limits.batch_calls_max)))
            .set_message_buffer_capacity(bounded(limits.notifications_max))
            .set_id_provider(ids)
            .build();
        let builder = Server::builder().set_config(config).to_service_builder();
        Self {
            builder,
            methods: methods.clone(),
            limits,
            version: options.version,
            stop,
        }
    }

    /// Serves one connection until it ends; a WebSocket on it included.
    pub(super) async fn serve<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
        &self,
        stream: BufReader<S>,
        connection: u32,
        extensions: Extensions,
        slot: OwnedSemaphorePermit,
    ) -> io::Result<()> {
        let methods = self.methods.clone();
        let calls = Arc::new(Semaphore::new(self.limits.calls_max));
        let response_bytes_max = self.limits.response_bytes_max;
        let rules = RpcServiceBuilder::new().layer_fn(move |inner| CommonRules {
            inner,
            methods: methods.clone(),
            calls: Arc::clone(&calls),
            response_bytes_max,
        });
        let (library_stop, library) = stop_channel();
        let builder = self
            .builder
            .clone()
            .connection_id(connection)
            .set_rpc_middleware(rules);
        let mut inner = builder.build(self.methods.clone(), library_stop.clone());
        let session_closed = inner.on_session_closed();
        let upgraded = Arc::new(AtomicBool::new(false));
        let service = Guarded {
            inner,
            extensions,
            version: self.version,
            upgraded: Arc::clone(&upgraded),
        };
        let http =
            serve_with_graceful_shutdown(Throttled::new(stream), service, library_stop.shutdown());
        let http = AbortOnDropHandle::new(tokio::spawn(http));
        let talk = async {
            let ended = http.await.map_err(io::Error::other)?;
            if upgraded.load(Ordering::Acquire) {
                session_closed.await;
            }
            ended.map_err(io::Error::other)
        };
        let told_to_stop = async {
            self.stop.cancelled().await;
            let _ = library.stop();
            drained(&self.stop, self.limits.drain_wait).await;
        };
        let ended = tokio::select! {
            ended = talk => ended,
            () = told_to_stop => Err(io::ErrorKind::TimedOut.into()),
        };
        drop(slot);
        ended
    }
}
