//! Ctrl-C, SIGTERM and SIGHUP: the first asks to end early with what there is, the second ends at once. Wraps `ctrlc`.

use std::sync::mpsc::{Sender, channel};
use std::thread;

use mesh_harness::stop::Stop;

/// From now on the first interrupt asks `stop`: work through lists ends after the items at hand.
pub(crate) fn asks(stop: &Stop) {
    handle(stop.clone(), || {});
}

/// Where no handler can be set an interrupt ends the process, as it would without us.
fn handle(stop: Stop, mut also: impl FnMut() + Send + 'static) {
    let _ = ctrlc::set_handler(move || {
        if stop.asked() {
            std::process::exit(130);
        }
        anstream::eprintln!("interrupted: writing reports of what is done; once more ends at once");
        stop.ask();
        also();
    });
}

enum Message<T> {
    Piece(T),
    Done,
    Interrupted,
}

/// Where work puts its pieces.
pub(crate) struct Out<T>(Sender<Message<T>>);

impl<T> Out<T> {
    /// One more piece is done. After an interrupt nobody takes it.
    pub(crate) fn put(&self, piece: T) {
        let _ = self.0.send(Message::Piece(piece));
    }
}

/// Does work that comes in pieces of any length. An interrupt does not wait for the piece at hand: what was done until
/// then is returned, with `true`, and the rest is left to the end of the process.
pub(crate) fn pieces<T: Send + 'static>(work: impl FnOnce(&Out<T>) + Send + 'static) -> (Vec<T>, bool) {
    let (sender, receiver) = channel();
    let (interrupted, done) = (sender.clone(), sender.clone());
    handle(Stop::default(), move || drop(interrupted.send(Message::Interrupted)));
    let worker = thread::spawn(move || {
        work(&Out(sender));
        let _ = done.send(Message::Done);
    });
    let mut all = Vec::new();
    loop {
        match receiver.recv() {
            Ok(Message::Piece(piece)) => all.push(piece),
            Ok(Message::Interrupted) => return (all, true),
            Ok(Message::Done) => break,
            Err(_) => break,
        }
    }
    // A panic in the work is ours to pass on.
    if let Err(panic) = worker.join() {
        std::panic::resume_unwind(panic);
    }
    (all, false)
}
