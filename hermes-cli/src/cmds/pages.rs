//! Reads lists to their end.

use hermes_api::client::ClientError;
use hermes_api::types::{PAGE_LIMIT_MAX, Page, PageParams};

use crate::fault::Fault;

/// All pages of a list as one.
pub(super) async fn all<T, F>(mut ask: impl FnMut(PageParams) -> F) -> Result<Page<T>, Fault>
where
    F: Future<Output = Result<Page<T>, ClientError>>,
{
    let mut items = Vec::new();
    let mut after = None;
    loop {
        let page = ask(PageParams {
            limit: Some(PAGE_LIMIT_MAX),
            after,
        })
        .await?;
        items.extend(page.items);
        after = page.next;
        if after.is_none() {
            return Ok(Page { items, next: None });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_follow_each_other_to_the_last() {
        let mut asked = Vec::new();
        let ask = |params: PageParams| {
            asked.push(params.after.clone());
            let page = match params.after.as_deref() {
                None => Page {
                    items: vec![1, 2],
                    next: Some("b".to_owned()),
                },
                Some("b") => Page {
                    items: Vec::new(),
                    next: Some("c".to_owned()),
                },
                _ => Page {
                    items: vec![3],
                    next: None,
                },
            };
            std::future::ready(Ok(page))
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .expect("runtime");
        let page = runtime.block_on(all(ask)).expect("pages");
        assert_eq!(page.items, [1, 2, 3]);
        assert_eq!(asked, [None, Some("b".to_owned()), Some("c".to_owned())]);
    }
}
