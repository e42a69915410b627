//! Components that know nothing of this host's contract: their exported functions become tools.

use toolcell_policy::{MAX_MANIFEST_BYTES, MAX_TOOLS, Manifest, ToolDefinition, names};

use crate::{
    Error, ErrorKind, Result,
    values::{self, Docs, Exported, LeftOut, Offered, Shape},
};

/// How many functions are named where none of them can be a tool.
const NAMED: usize = 5;

/// The functions of a component that are tools, and those that are not.
#[derive(Clone, Debug, Default)]
pub(super) struct Plain {
    tools: Vec<Offered>,
    left_out: Vec<LeftOut>,
}

impl Plain {
    pub(super) fn new(exported: Vec<Exported>) -> Self {
        let (tools, left_out) = values::offer(exported, MAX_TOOLS);
        Self { tools, left_out }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.tools.is_empty()
    }

    pub(super) fn left_out(&self) -> &[LeftOut] {
        &self.left_out
    }

    /// What the answers of a tool are.
    pub(super) fn shape(&self, tool: &str) -> Option<Shape> {
        Some(self.find(tool)?.function.shape())
    }

    fn find(&self, tool: &str) -> Option<&Offered> {
        self.tools.iter().find(|offered| offered.name == tool)
    }

    /// The manifest of a component that carries none: the package is named after the file, every function is a tool, and
    /// nothing is requested.
    pub(super) fn manifest(&mut self, file_stem: &str, docs: &Docs) -> Manifest {
        let mut manifest = Manifest::default_for(file_stem);
        let only = self.tools.len() == 1;
        let mut left = MAX_MANIFEST_BYTES;
        let mut definitions = Vec::new();
        let mut kept = Vec::new();
        for tool in std::mem::take(&mut self.tools) {
            let public = names::public_name(&manifest.name, &tool.name, only);
            let definition = definition(&tool, docs);
            let refused = if public.len() > names::MAX_PUBLIC_NAME {
                Some(format!(
                    "its public name `{public}` would have more than {} characters; a shorter name of the file helps",
                    names::MAX_PUBLIC_NAME
                ))
            } else {
                take_schemas(&mut left, &definition).err()
            };
            match refused {
                None => {
                    definitions.push(definition);
                    kept.push(tool);
                }
                Some(reason) => self.left_out.push(LeftOut::new(&tool.place, reason)),
            }
        }
        self.tools = kept;
        manifest.tools = definitions;
        manifest
    }

    /// Fits a manifest that the component carries to its functions: each tool is one of them, and has the output schema
    /// of its type unless the manifest has another one.
    ///
    /// # Errors
    ///
    /// `invalid_manifest` where there is no such function.
    pub(super) fn complete(&self, manifest: &mut Manifest) -> Result<()> {
        for tool in &mut manifest.tools {
            let Some(offered) = self.find(&tool.name) else {
                return Err(self.unknown(&tool.name));
            };
            if tool.output.is_none() {
                tool.output = offered.function.output_schema();
            }
        }
        Ok(())
    }

    fn unknown(&self, tool: &str) -> Error {
        let known: Vec<&str> = self.tools.iter().map(|tool| tool.name.as_str()).collect();
        let known = known.join(", ");
        Error::new(
            ErrorKind::InvalidManifest,
            format!(
                "the manifest names a tool `{tool}`, and the component exports no function for it"
            ),
        )
        .with_help(format!("The functions that can be tools are: {known}."))
    }

    /// Why there is no tool, where there is none.
    pub(super) fn reasons(&self) -> Option<String> {
        let reasons: Vec<String> = self
            .left_out
            .iter()
            .take(NAMED)
            .map(|it| format!("`{}`: {}", it.function, it.reason))
            .collect();
        let more = self.left_out.len().saturating_sub(NAMED);
        match (reasons.is_empty(), more) {
            (true, _) => None,
            (_, 0) => Some(reasons.join("; ")),
            (_, more) => Some(format!("{}; and {more} more", reasons.join("; "))),
        }
    }
}

/// The schemas of all tools of a package are as large as a manifest may be, which would have to hold them.
fn take_schemas(left: &mut usize, tool: &ToolDefinition) -> Result<(), String> {
    let bytes = |schema: &serde_json::Value| schema.to_string().len();
    let used = bytes(&tool.input) + tool.output.as_ref().map_or(0, bytes);
    *left = left.checked_sub(used).ok_or_else(|| {
        format!("the schemas of a package's tools have together at most {MAX_MANIFEST_BYTES} bytes")
    })?;
    Ok(())
}

fn definition(tool: &Offered, docs: &Docs) -> ToolDefinition {
    let description = docs
        .of(&tool.place)
        .map_or_else(|| tool.function.signature(&tool.place.name), str::to_owned);
    ToolDefinition {
        name: tool.name.clone(),
        description,
        input: tool.function.input_schema(),
        output: tool.function.output_schema(),
        annotations: toolcell_policy::Annotations::default(),
    }
}
