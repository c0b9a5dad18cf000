//! Actors on tokio: bounded mailboxes, a control lane, exits, monitors, names, dead letters.
