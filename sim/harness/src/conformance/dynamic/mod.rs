//! Judges runs over time by recordings of a real sidecar (FORMATS section 4, `tests/conformance/dynamic`).
//!
//! A recording is two independent runs of one scenario; what is random in Envoy (rotation starts, back-off, percentages)
//! differs between them. The scenario is simulated under several seeds, and each recorded run is held against all of
//! them:
//!
//! * **certainty** — what every simulated run says of a request must be what happened to it;
//! * **sequence** — where simulated runs fall into a few classes (an unknown rotation start), some class must be the
//!   recorded sequence, but for requests that meet a change;
//! * **counts** — of every value of every key, within five standard deviations of the simulated counts;
//! * **ejections** — same hosts, same order, same times within the recorder's accuracy;
//! * **durations** — within the recorder's accuracy of the simulated ones.
//!
//! [`recording`] reads, [`row`] is the common form of both sides, [`judge`] compares.

pub mod judge;
pub mod recording;
pub mod row;
mod timing;

pub use judge::{Judged, judge};
pub use recording::{Recording, read};

/// How many seeds a scenario is simulated under: several times the number of rotation starts of any recording.
pub const SEEDS: u64 = 32;
