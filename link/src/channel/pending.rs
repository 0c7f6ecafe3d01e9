//! Our open requests: a table of places, so that a request costs no allocation and an id leads straight to its place.
//!
//! A place is taken from the sending of a request until its answer is here, even if nobody waits for it any more: the other side
//! counts open requests as well, and takes too many for an attack.

use std::{
    pin::Pin,
    sync::{Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

use tokio::sync::{Semaphore, SemaphorePermit};

use super::{
    Answer, Violation,
    codec::{ANSWER_BIT, ERROR_ANSWER, Frame},
};

/// Requests that may be open per direction. It bounds what a peer can make us hold, and with it the ids fit a table.
pub const OPEN_REQUESTS_MAX: usize = 256;

/// An id is `turn ‖ place`, with this many bits for the place; the turn is never 0, so the id is not either.
const PLACE_BITS: u32 = 8;

/// Turns of a place before ids repeat; no two open requests share an id even then.
const TURN_MAX: u32 = (1 << (32 - PLACE_BITS)) - 1;

pub(super) struct Pending {
    vacancies: Semaphore,
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    places: Vec<Place>,
    free: Vec<u8>,
    is_closed: bool,
}

struct Place {
    turn: u32,
    kind: u8,
    state: State,
}

enum State {
    Free,
    /// Somebody waits, perhaps already with a waker.
    Awaited(Option<Waker>),
    /// Nobody waits any more; the answer is still to come.
    Abandoned,
    Answered(Answer),
}

/// The right to send one request.
pub(super) struct Vacancy<'a>(SemaphorePermit<'a>);

/// One open request; resolves to its answer, or `None` when the channel ends first.
pub(super) struct Ticket<'a> {
    pending: &'a Pending,
    pub(super) id: u32,
    is_done: bool,
}

impl Pending {
    pub(super) fn new() -> Self {
        Self {
            vacancies: Semaphore::new(OPEN_REQUESTS_MAX),
            table: Mutex::default(),
        }
    }

    /// Waits in line until a request may be sent; `None` once closed.
    pub(super) async fn vacancy(&self) -> Option<Vacancy<'_>> {
        self.vacancies.acquire().await.ok().map(Vacancy)
    }

    /// Takes a place for a request that is being sent now.
    pub(super) fn open(&self, vacancy: Vacancy<'_>, kind: u8) -> Option<Ticket<'_>> {
        let mut table = self.table();
        if table.is_closed {
            return None;
        }
        let index = match table.free.pop() {
            Some(index) => index,
            None => {
                let index = u8::try_from(table.places.len()).ok()?;
                table.places.push(Place {
                    turn: 0,
                    kind,
                    state: State::Free,
                });
                index
            }
        };
        let place = table.places.get_mut(usize::from(index))?;
        place.turn = if place.turn == TURN_MAX {
            1
        } else {
            place.turn + 1
        };
        place.kind = kind;
        place.state = State::Awaited(None);
        vacancy.0.forget();
        Some(Ticket {
            pending: self,
            id: place.turn << PLACE_BITS | u32::from(index),
            is_done: false,
        })
    }

    /// Hands an answer to its request.
    pub(super) fn answer(&self, frame: Frame) -> Result<(), Violation> {
        let Frame { kind, id, body } = frame;
        let mut table = self.table();
        let place = table.place(id).ok_or(Violation::UnknownAnswer { id })?;
        if kind != ERROR_ANSWER && kind != place.kind | ANSWER_BIT {
            return Err(Violation::WrongAnswer {
                request: place.kind,
                answer: kind,
            });
        }
        match std::mem::replace(&mut place.state, State::Answered(Answer { kind, body })) {
            State::Awaited(waker) => {
                drop(table);
                if let Some(waker) = waker {
                    waker.wake();
                }
                Ok(())
            }
            State::Abandoned => {
                self.release(table, id);
                Ok(())
            }
            unexpected @ (State::Free | State::Answered(_)) => {
                place.state = unexpected;
                Err(Violation::UnknownAnswer { id })
            }
        }
    }

    /// Ends all waiting, now and later.
    pub(super) fn close(&self) {
        self.vacancies.close();
        let mut table = self.table();
        table.is_closed = true;
        let wakers: Vec<Waker> = table
            .places
            .iter_mut()
            .filter_map(Place::take_waker)
            .collect();
        drop(table);
        wakers.into_iter().for_each(Waker::wake);
    }

    fn release(&self, mut table: MutexGuard<'_, Table>, id: u32) {
        if let Some(place) = table.place(id) {
            place.state = State::Free;
            table.free.push(index_of(id));
            self.vacancies.add_permits(1);
        }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn place(&mut self, id: u32) -> Option<&mut Place> {
        self.places
            .get_mut(usize::from(index_of(id)))
            .filter(|place| place.turn == id >> PLACE_BITS)
    }
}

impl Place {
    fn take_waker(&mut self) -> Option<Waker> {
        match &mut self.state {
            State::Awaited(waker) => waker.take(),
            State::Free | State::Abandoned | State::Answered(_) => None,
        }
    }
}

/// The place in an id: its lowest byte.
fn index_of(id: u32) -> u8 {
    let [place, ..] = id.to_le_bytes();
    place
}

impl Future for Ticket<'_> {
    type Output = Option<Answer>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let pending = self.pending;
        let mut table = pending.table();
        let is_closed = table.is_closed;
        let Some(place) = table.place(self.id) else {
            return Poll::Ready(None);
        };
        match std::mem::replace(&mut place.state, State::Abandoned) {
            State::Answered(answer) => {
                pending.release(table, self.id);
                self.is_done = true;
                Poll::Ready(Some(answer))
            }
            _ if is_closed => {
                self.is_done = true;
                Poll::Ready(None)
            }
            _ => {
                place.state = State::Awaited(Some(context.waker().clone()));
                Poll::Pending
            }
        }
    }
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        if self.is_done {
            return;
        }
        let mut table = self.pending.table();
        let Some(place) = table.place(self.id) else {
            return;
        };
        if let State::Answered(_) = std::mem::replace(&mut place.state, State::Abandoned) {
            self.pending.release(table, self.id);
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn answer(kind: u8, id: u32) -> Frame {
        Frame {
            kind,
            id,
            body: Bytes::from_static(b"answer"),
        }
    }

    async fn open(pending: &Pending) -> Ticket<'_> {
        let vacancy = pending.vacancy().await.unwrap();
        pending.open(vacancy, 0x01).unwrap()
    }

    #[tokio::test]
    async fn ids_are_never_zero_and_never_twice_open() {
        let pending = Pending::new();
        let mut tickets = Vec::new();
        for _ in 0..OPEN_REQUESTS_MAX {
            tickets.push(open(&pending).await);
        }
        let mut ids: Vec<_> = tickets.iter().map(|ticket| ticket.id).collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), OPEN_REQUESTS_MAX);
        assert!(!ids.contains(&0));
        assert!(pending.vacancies.try_acquire().is_err());
    }

    #[tokio::test]
    async fn a_place_gets_a_new_id_each_turn() {
        let pending = Pending::new();
        let mut last = 0;
        for _ in 0..3 {
            let ticket = open(&pending).await;
            assert_ne!(ticket.id, last);
            last = ticket.id;
            pending.answer(answer(0x81, ticket.id)).unwrap();
            assert_eq!(ticket.await.unwrap().body, Bytes::from_static(b"answer"));
        }
        assert_eq!(pending.vacancies.available_permits(), OPEN_REQUESTS_MAX);
    }

    #[tokio::test]
    async fn turns_start_over_after_the_last() {
        let pending = Pending::new();
        let ticket = open(&pending).await;
        pending.table().places[0].turn = TURN_MAX;
        pending
            .answer(answer(0x81, TURN_MAX << PLACE_BITS))
            .unwrap();
        drop(ticket);
        pending.table().places[0].state = State::Free;
        pending.table().free = vec![0];
        pending.vacancies.add_permits(1);
        assert_eq!(open(&pending).await.id, 1 << PLACE_BITS);
    }

    #[tokio::test]
    async fn answers_to_nothing_are_noticed() {
        let pending = Pending::new();
        let unknown = |id| Err(Violation::UnknownAnswer { id });
        assert_eq!(pending.answer(answer(0x81, 256)), unknown(256));
        let ticket = open(&pending).await;
        let id = ticket.id;
        assert_eq!(pending.answer(answer(0x81, id + 1)), unknown(id + 1));
        assert_eq!(pending.answer(answer(0x81, id + 256)), unknown(id + 256));
        let wrong = Violation::WrongAnswer {
            request: 0x01,
            answer: 0x82,
        };
        assert_eq!(pending.answer(answer(0x82, id)), Err(wrong));
        pending.answer(answer(ERROR_ANSWER, id)).unwrap();
        assert_eq!(
            pending.answer(answer(0x81, id)),
            unknown(id),
            "a second answer"
        );
        assert!(ticket.await.unwrap().is_error());
        assert_eq!(
            pending.answer(answer(0x81, id)),
            unknown(id),
            "an answer after the end"
        );
    }

    #[tokio::test]
    async fn a_place_stays_taken_until_the_answer_is_here() {
        let pending = Pending::new();
        let ticket = open(&pending).await;
        let id = ticket.id;
        drop(ticket);
        assert_eq!(pending.vacancies.available_permits(), OPEN_REQUESTS_MAX - 1);
        pending.answer(answer(0x81, id)).unwrap();
        assert_eq!(pending.vacancies.available_permits(), OPEN_REQUESTS_MAX);

        let answered = open(&pending).await;
        pending.answer(answer(0x81, answered.id)).unwrap();
        drop(answered);
        assert_eq!(pending.vacancies.available_permits(), OPEN_REQUESTS_MAX);
    }

    #[tokio::test]
    async fn closing_ends_all_waiting() {
        let pending = std::sync::Arc::new(Pending::new());
        let waiting = tokio::spawn({
            let pending = pending.clone();
            async move { open(&pending).await.await }
        });
        tokio::task::yield_now().await;
        let vacancy = pending.vacancy().await.unwrap();
        pending.close();
        assert_eq!(waiting.await.unwrap(), None);
        assert!(pending.vacancy().await.is_none());
        assert!(pending.open(vacancy, 1).is_none());
    }
}
