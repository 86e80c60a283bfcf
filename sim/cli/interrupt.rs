//! Ctrl-C, SIGTERM and SIGHUP: the first asks to end early with what there is, the second ends at once. Wraps `ctrlc`.

use mesh_harness::policy::Stop;

/// From now on the first interrupt asks `stop`.
pub(crate) fn asks(stop: &Stop) {
    let stop = stop.clone();
    let handler = move || {
        if stop.asked() {
            std::process::exit(130);
        }
        stop.ask();
        anstream::eprintln!(
            "interrupted: ending the files at hand, then the reports; once more ends at once"
        );
    };
    // Where no handler can be set an interrupt ends the process, as it would without us.
    let _ = ctrlc::set_handler(handler);
}
