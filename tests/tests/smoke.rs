//! smoke
use gather::*;
use std::time::Duration;
#[test]
fn smoke() {
    let v = run(async {
        gather((0..1000u64).map(|i| async move {
            if i % 3 == 0 {
                yield_now().await;
            }
            if i % 7 == 0 {
                sleep(Duration::from_micros(i * 10)).await;
            }
            Ok::<_, ()>(i)
        }))
        .limit(50)
        .await
    })
    .unwrap();
    assert_eq!(v, (0..1000).collect::<Vec<_>>());
    let v = run(async {
        let t: Vec<_> = (0..10)
            .map(|i| {
                spawn(async move {
                    yield_now().await;
                    i
                })
            })
            .collect();
        gather(t).await
    })
    .unwrap();
    assert_eq!(v, (0..10).collect::<Vec<_>>());
}
