//! Namespaces, declared or not: their labels and annotations, and whether istiod looks at them.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::resource::meta::Object;
use crate::resource::namespace::Namespace;
use crate::resource::selector::LabelSelector;

type Labels = BTreeMap<String, String>;

/// All namespaces.
#[derive(Debug, Clone, Default)]
pub struct Namespaces {
    declared: BTreeMap<String, Arc<Object<Namespace>>>,
    /// Labels of a namespace that no manifest declares.
    undeclared: Labels,
    /// The namespace of istiod, which nobody labels for injection.
    root: String,
    nothing: Labels,
}

impl Namespaces {
    /// `inject` is FORMATS' `mesh.injection`: undeclared namespaces count as labelled `istio-injection: enabled`.
    /// The root namespace does not: no installation labels it.
    pub fn new(declared: &[Arc<Object<Namespace>>], inject: bool, root: &str) -> Self {
        let declared = declared.iter().map(|n| (n.meta.name.clone(), Arc::clone(n))).collect();
        let enabled = ("istio-injection".to_owned(), "enabled".to_owned());
        let undeclared = inject.then_some(enabled).into_iter().collect();
        Namespaces { declared, undeclared, root: root.to_owned(), nothing: Labels::new() }
    }

    /// Its labels.
    pub fn labels(&self, namespace: &str) -> &Labels {
        match self.declared.get(namespace) {
            Some(object) => &object.meta.labels,
            None if namespace == self.root => &self.nothing,
            None => &self.undeclared,
        }
    }

    /// Its annotations.
    pub fn annotations(&self, namespace: &str) -> &Labels {
        self.declared.get(namespace).map_or(&self.nothing, |object| &object.meta.annotations)
    }

    /// Whether a manifest declares it.
    pub fn is_declared(&self, namespace: &str) -> bool {
        self.declared.contains_key(namespace)
    }

    /// Whether istiod looks at it (`meshConfig.discoverySelectors`: any of them; none means all).
    /// Every namespace carries the label `kubernetes.io/metadata.name`.
    pub fn is_discovered(&self, namespace: &str, selectors: &[LabelSelector]) -> bool {
        if selectors.is_empty() {
            return true;
        }
        let mut labels = self.labels(namespace).clone();
        labels.insert("kubernetes.io/metadata.name".to_owned(), namespace.to_owned());
        selectors.iter().any(|s| s.matches(&labels) == Some(true))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resource::meta::ObjectMeta;

    fn namespace(name: &str, label: (&str, &str)) -> Arc<Object<Namespace>> {
        let labels = Labels::from([(label.0.to_owned(), label.1.to_owned())]);
        let meta = ObjectMeta { name: name.to_owned(), labels, ..ObjectMeta::default() };
        Arc::new(Object { meta, spec: Namespace::default() })
    }

    #[test]
    fn undeclared_namespaces_follow_the_option() {
        let all = Namespaces::new(&[namespace("a", ("x", "y"))], true, "istio-system");
        assert!(all.labels("b").contains_key("istio-injection"));
        assert!(!all.labels("a").contains_key("istio-injection"));
        assert!(all.labels("istio-system").is_empty());
        assert!(Namespaces::new(&[], false, "istio-system").labels("b").is_empty());
    }

    #[test]
    fn discovery_selectors_are_alternatives() {
        let all = Namespaces::new(&[namespace("a", ("team", "x")), namespace("b", ("team", "y"))], true, "r");
        let selector = |key: &str, value: &str| LabelSelector {
            match_labels: Labels::from([(key.to_owned(), value.to_owned())]),
            ..LabelSelector::default()
        };
        assert!(all.is_discovered("b", &[]));
        let two = [selector("team", "x"), selector("kubernetes.io/metadata.name", "c")];
        let found: Vec<bool> = ["a", "b", "c"].iter().map(|n| all.is_discovered(n, &two)).collect();
        assert_eq!(found, [true, false, true]);
    }
}
