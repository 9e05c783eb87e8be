//! Edges, ports and joins: what starts, what is skipped, and how a run ends.

use super::script::{Play, table};

const CHAIN: &str = "
  - {id: a, uses: t.pure}
  - {id: b, uses: t.read}
  - {id: c, uses: t.send}";

#[test]
fn a_step_needs_the_one_before_it() {
    table(&[
        (CHAIN, "", "a=run1 b=- c=- running"),
        (CHAIN, "a", "a=ok b=run1 c=- running"),
        (CHAIN, "a b c", "a=ok b=ok c=ok succeeded"),
        (CHAIN, "a b! ", "a=ok b=failed c=skipped:not_reached failed"),
        (CHAIN, "a/", "a=skipped:condition b=skipped:not_reached c=skipped:not_reached succeeded"),
        (CHAIN, "a b c wake crash", "a=ok b=ok c=ok succeeded"),
    ]);
}

#[test]
fn needs_name_their_edges() {
    let free = "
  - {id: a, uses: t.pure}
  - {id: b, uses: t.pure, needs: []}
  - {id: c, uses: t.pure, needs: [a, b]}";
    table(&[
        (free, "", "a=run1 b=run1 c=- running"),
        (free, "a", "a=ok b=run1 c=- running"),
        (free, "b a", "a=ok b=ok c=run1 running"),
        (free, "b a c", "a=ok b=ok c=ok succeeded"),
    ]);
    let ports = "
  - {id: a, uses: t.route}
  - {id: b, uses: t.pure, needs: [a.left]}
  - {id: c, uses: t.pure, needs: [a.right]}
  - {id: d, uses: t.pure, needs: [a]}";
    table(&[
        (ports, "a.left", "a=left b=run1 c=skipped:not_reached d=skipped:not_reached running"),
        (ports, "a.right c", "a=right b=skipped:not_reached c=ok d=skipped:not_reached succeeded"),
        (ports, "a d", "a=ok b=skipped:not_reached c=skipped:not_reached d=ok succeeded"),
        (ports, "a!", "a=failed b=skipped:not_reached c=skipped:not_reached d=skipped:not_reached failed"),
    ]);
    let switch = "
  - {id: a, uses: t.switch, with: {cases: {hot: 'true', cold: 'false'}}}
  - {id: b, uses: t.pure, needs: [a.hot]}
  - {id: c, uses: t.pure, needs: [a.else]}";
    table(&[
        (switch, "a.hot b", "a=hot b=ok c=skipped:not_reached succeeded"),
        (switch, "a.else", "a=else b=skipped:not_reached c=run1 running"),
        (switch, "a.cold", "a=cold b=skipped:not_reached c=skipped:not_reached succeeded"),
    ]);
}

#[test]
fn all_skips_as_soon_as_one_edge_cannot_be_taken() {
    let all = "
  - {id: a, uses: t.route}
  - {id: b, uses: t.route, needs: []}
  - {id: c, uses: t.pure, needs: [a.left, b.left]}
  - {id: d, uses: t.pure, needs: [c]}";
    table(&[
        (all, "a.left", "a=left b=run1 c=- d=- running"),
        (all, "a.left b.left", "a=left b=left c=run1 d=- running"),
        (all, "a.right", "a=right b=run1 c=skipped:not_reached d=skipped:not_reached running"),
        (all, "b", "a=run1 b=ok c=skipped:not_reached d=skipped:not_reached running"),
        (all, "a.right b", "a=right b=ok c=skipped:not_reached d=skipped:not_reached succeeded"),
    ]);
}

#[test]
fn any_waits_until_all_edges_are_settled() {
    let any = "
  - {id: a, uses: t.route}
  - {id: b, uses: t.route, needs: []}
  - {id: c, uses: t.pure, needs: [a.left, b.left], join: any}";
    table(&[
        (any, "a.left", "a=left b=run1 c=- running"),
        (any, "a.left b", "a=left b=ok c=run1 running"),
        (any, "a b.left", "a=ok b=left c=run1 running"),
        (any, "a.left b.left c", "a=left b=left c=ok succeeded"),
        (any, "a b", "a=ok b=ok c=skipped:not_reached succeeded"),
        (any, "a! b.left c", "a=failed b=left c=ok failed"),
    ]);
    let both = "
  - {id: a, uses: t.route}
  - {id: b, uses: t.pure, needs: [a.left, a.right, a.error], join: any}";
    table(&[
        (both, "a.right", "a=right b=run1 running"),
        (both, "a", "a=ok b=skipped:not_reached succeeded"),
        (both, "a! b", "a=failed b=ok succeeded"),
    ]);
}

#[test]
fn a_failure_that_some_step_needs_is_handled() {
    let handled = "
  - {id: a, uses: t.read}
  - {id: b, uses: t.pure}
  - {id: c, uses: t.pure, needs: [a.error]}";
    table(&[
        (handled, "a!", "a=failed b=skipped:not_reached c=run1 running"),
        (handled, "a! c", "a=failed b=skipped:not_reached c=ok succeeded"),
        (handled, "a! c!", "a=failed b=skipped:not_reached c=failed failed"),
        (handled, "a b", "a=ok b=ok c=skipped:not_reached succeeded"),
        (handled, "a b!", "a=ok b=failed c=skipped:not_reached failed"),
    ]);
}

#[test]
fn a_wide_graph_is_walked_in_one_decision() {
    let mut steps = String::from("  - {id: a, uses: t.route}\n");
    for step in 0..400 {
        let needs = if step == 0 { "a.left".to_string() } else { format!("s{}", step - 1) };
        steps.push_str(&format!("  - {{id: s{step}, uses: t.pure, needs: [{needs}]}}\n"));
    }
    let mut play = Play::begin(&steps);
    play.play("a");
    assert!(play.state.ended.is_some());
}

#[test]
fn inputs_that_do_not_fit_are_refused_and_change_nothing() {
    table(&[
        (CHAIN, "xb xc! xb~ xb? xb^9 xb@9 xb/ xb=2 xa[0] xa[0]~", "a=run1 b=- c=- running"),
        (CHAIN, "a xa xa! xa~ xa/", "a=ok b=run1 c=- running"),
        (CHAIN, "a b~ b b! wake", "a=ok b=failed c=skipped:not_reached failed"),
        (CHAIN, "a b^50 xb xb~ +50 b", "a=ok b=ok c=run1 running"),
        (CHAIN, "a b c? xc xc~ xc?", "a=ok b=ok c=held1 attention"),
        (CHAIN, "xa:sent a b c xc:sent xc:not xc:skip", "a=ok b=ok c=ok succeeded"),
    ]);
}
