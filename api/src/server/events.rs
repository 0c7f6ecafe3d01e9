//! Subscriptions, as handlers see them.

use jsonrpsee::{PendingSubscriptionSink, SubscriptionMessage, SubscriptionSink};
use serde_json::value::RawValue;

use crate::error::ApiError;
use crate::types::Event;

/// The name of the notifications.
pub(super) const NOTIFICATION: &str = "event";

/// The subscription is over: the client left or unsubscribed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the subscription is over")]
pub struct Closed;

/// A subscription that was asked for and not granted yet.
#[must_use = "the client waits until the subscription is accepted or refused"]
#[derive(Debug)]
pub struct PendingEvents {
    pending: PendingSubscriptionSink,
}

impl PendingEvents {
    pub(super) fn new(pending: PendingSubscriptionSink) -> Self {
        Self { pending }
    }

    /// Grants it; the client gets its id before the first event.
    ///
    /// # Errors
    ///
    /// If the client has left.
    pub async fn accept(self) -> Result<EventSink, Closed> {
        let sink = self.pending.accept().await.map_err(|_| Closed)?;
        Ok(EventSink { sink })
    }

    /// Refuses it.
    pub async fn reject(self, error: ApiError) {
        self.pending.reject(error).await;
    }
}

/// Where the events of one subscription go; dropping it ends the subscription.
#[derive(Debug)]
pub struct EventSink {
    sink: SubscriptionSink,
}

impl EventSink {
    /// Sends an event, waiting while the client is slow.
    ///
    /// # Errors
    ///
    /// If the subscription is over.
    pub async fn send(&self, event: &Event) -> Result<(), Closed> {
        let message = self.message(event)?;
        self.sink.send(message).await.map_err(|_| Closed)
    }

    /// Sends an event that is JSON already, as it stands in the log.
    ///
    /// # Errors
    ///
    /// If the subscription is over.
    pub async fn send_json(&self, event: &RawValue) -> Result<(), Closed> {
        let message = self.message(event)?;
        self.sink.send(message).await.map_err(|_| Closed)
    }

    /// Sends an event that may be lost, if there is room for it now.
    ///
    /// # Errors
    ///
    /// If the subscription is over.
    pub fn send_or_drop(&mut self, event: &Event) -> Result<(), Closed> {
        let message = self.message(event)?;
        match self.sink.try_send(message) {
            Err(jsonrpsee::TrySendError::Closed(_)) => Err(Closed),
            Ok(()) | Err(jsonrpsee::TrySendError::Full(_)) => Ok(()),
        }
    }

    /// Waits until the subscription is over.
    pub async fn closed(&self) {
        self.sink.closed().await;
    }

    fn message(
        &self,
        event: &(impl serde::Serialize + ?Sized),
    ) -> Result<SubscriptionMessage, Closed> {
        // An event is plain data; if it could not be written, ending the subscription is the only
        // way left to say that something is missing.
        SubscriptionMessage::new(NOTIFICATION, self.sink.subscription_id(), &event)
            .map_err(|_| Closed)
    }
}
