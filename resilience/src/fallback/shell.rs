//! Asks the primary, and then the fallback.

use super::{Answer, Source};

/// The answer of `primary`; or, if it fails with an error that `may_cover` allows, that of `fallback`; or else the error of
/// `primary`.
///
/// Cancel safety: that of the two futures. Needs no runtime.
pub async fn or_else<T, E, E2, F>(
    primary: impl Future<Output = Result<T, E>>,
    may_cover: impl FnOnce(&E) -> bool,
    fallback: impl FnOnce() -> F,
) -> Result<Answer<T>, E>
where
    F: Future<Output = Result<T, E2>>,
{
    let error = match primary.await {
        Ok(value) => {
            return Ok(Answer {
                value,
                source: Source::Primary,
            });
        }
        Err(error) if !may_cover(&error) => return Err(error),
        Err(error) => error,
    };
    match fallback().await {
        Ok(value) => Ok(Answer {
            value,
            source: Source::Fallback,
        }),
        Err(_) => Err(error),
    }
}

#[cfg(feature = "tokio")]
impl<T: Clone> super::LastGood<T> {
    /// The answer of `primary`, which is remembered; or, if it fails with an error that `may_cover` allows, the last good one; or else
    /// the error. By tokio's clock.
    ///
    /// Cancel safety: that of `primary`; nothing is remembered then.
    pub async fn or_last_good<E>(
        &self,
        may_cover: impl FnOnce(&E) -> bool,
        primary: impl Future<Output = Result<T, E>>,
    ) -> Result<Answer<T>, E> {
        let outcome = primary.await;
        let now = tokio::time::Instant::now().into_std();
        match outcome {
            Ok(value) => {
                self.store(value.clone(), now);
                Ok(Answer {
                    value,
                    source: Source::Primary,
                })
            }
            Err(error) if may_cover(&error) => self.get(now).ok_or(error),
            Err(error) => Err(error),
        }
    }
}
