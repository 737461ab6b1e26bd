//! Services, against real servers where there are some, and against documented answers where there are none.

mod azblob;
mod bed;
mod exchanges;
mod faults;
mod s3;
mod stand_in;
