//! Moments at which a test changes a file under the reader's hands; nothing in other builds.

/// What to call, if anything.
#[derive(Clone, Default)]
pub struct Hooks {
    #[cfg(test)]
    pub at: Option<Act>,
}

/// What a test does at a moment.
#[cfg(test)]
pub type Act = std::sync::Arc<dyn Fn(Moment, &[u8]) + Send + Sync>;

/// A moment.
#[cfg(test)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// The entry was looked at and not opened yet.
    Listed,
    /// The file was read to the size that it had, and not looked at again yet.
    Read,
}

impl Hooks {
    /// An entry was looked at.
    #[cfg(test)]
    pub fn listed(&self, path: &[u8]) {
        self.call(Moment::Listed, path);
    }

    /// An entry was looked at.
    #[cfg(not(test))]
    #[expect(clippy::unused_self, reason = "only tests have anything to call")]
    pub fn listed(&self, _path: &[u8]) {}

    /// A file was read.
    #[cfg(test)]
    pub fn read(&self, path: &[u8]) {
        self.call(Moment::Read, path);
    }

    /// A file was read.
    #[cfg(not(test))]
    #[expect(clippy::unused_self, reason = "only tests have anything to call")]
    pub fn read(&self, _path: &[u8]) {}

    #[cfg(test)]
    fn call(&self, moment: Moment, path: &[u8]) {
        if let Some(at) = &self.at {
            at(moment, path);
        }
    }
}
