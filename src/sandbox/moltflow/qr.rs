//! The code that a session shows while it is `qr_code`. It is a real one; what a phone reads from it is "moltrun sandbox:
//! nothing to link".

/// A PNG of 25 squares and a margin, four pixels a square, as a browser shows it.
pub const DATA_URL: &str = "data:image/png;base64,\
    iVBORw0KGgoAAAANSUhEUgAAAIQAAACEAQAAAAB5P74KAAAAyElEQVR42u2WUQ6DMAxDcwPf/5a5QWYbpq37QCreJ1UF4VUydZogan5G10NWUl\
    WY7sER3CbgLHIHCSmgGToIiXb3DyKnMeGU9Op9nyjhHstZ7BOfP8XX2tgn1KM0Ly27EWEAn2FCRrJc4FIjIIVWXbarKiC80CSdciaEyhrDF0xC\
    zrrqc5P3ifY3rtCQ0CkfPk7vEQ2ZxdQkpCwJFcRX7+wTvJtXNCF1tq3uKWHSys0bEhy5Q0JcDGPlhDjzat7lW7dPnr+CC/ICpNizSLl6qisAAA\
    AASUVORK5CYII=";
