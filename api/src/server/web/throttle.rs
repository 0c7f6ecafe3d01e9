//! Reads no more from a client that does not read itself.
//!
//! The library takes requests from a WebSocket however many answers wait to be written. With this
//! in between, a client whose answers are stuck is not read from, so what it can make us hold is
//! what it sent before.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A stream that is read only while writing goes on.
pub(super) struct Throttled<S> {
    inner: S,
    /// Whether the last write found no room.
    stuck: bool,
    /// Who wants to read once there is room.
    reader: Option<Waker>,
}

impl<S> Throttled<S> {
    pub(super) fn new(inner: S) -> Self {
        Self {
            inner,
            stuck: false,
            reader: None,
        }
    }

    /// Notes how a write went.
    fn note<T>(&mut self, written: &Poll<T>) {
        self.stuck = written.is_pending();
        if !self.stuck
            && let Some(reader) = self.reader.take()
        {
            reader.wake();
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Throttled<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.stuck {
            this.reader = Some(cx.waker().clone());
            return Poll::Pending;
        }
        Pin::new(&mut this.inner).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Throttled<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.inner).poll_write(cx, buf);
        this.note(&written);
        written
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::task::{ArcWake, waker};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[derive(Default)]
    struct Wakes(AtomicUsize);

    impl ArcWake for Wakes {
        fn wake_by_ref(this: &Arc<Self>) {
            this.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A stream that always has something to read, and room to write when told so.
    struct Endless {
        room: bool,
    }

    impl AsyncRead for Endless {
        fn poll_read(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
            buf: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            buf.put_slice(b"x");
            Poll::Ready(Ok(()))
        }
    }

    impl AsyncWrite for Endless {
        fn poll_write(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
            buf: &[u8],
        ) -> Poll<io::Result<usize>> {
            if self.room {
                Poll::Ready(Ok(buf.len()))
            } else {
                Poll::Pending
            }
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    #[test]
    fn reading_waits_for_writing() {
        let wakes = Arc::new(Wakes::default());
        let waker = waker(Arc::clone(&wakes));
        let mut cx = Context::from_waker(&waker);
        let mut stream = Throttled::new(Endless { room: false });
        let read = |stream: &mut Throttled<Endless>, cx: &mut Context<'_>| {
            let mut bytes = [0; 4];
            Pin::new(stream)
                .poll_read(cx, &mut ReadBuf::new(&mut bytes))
                .is_ready()
        };
        assert!(read(&mut stream, &mut cx));
        assert!(
            Pin::new(&mut stream)
                .poll_write(&mut cx, b"answer")
                .is_pending()
        );
        assert!(!read(&mut stream, &mut cx));
        assert_eq!(wakes.0.load(Ordering::Relaxed), 0);
        stream.inner.room = true;
        assert!(
            Pin::new(&mut stream)
                .poll_write(&mut cx, b"answer")
                .is_ready()
        );
        assert_eq!(wakes.0.load(Ordering::Relaxed), 1);
        assert!(read(&mut stream, &mut cx));
    }
}
