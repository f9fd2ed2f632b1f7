// Judges an answer by the JSON schema that it was asked for (draft 2020-12: its assertions within one document).
// https://json-schema.org/draft/2020-12/json-schema-validation

const SILENT = new Set("$schema $id $comment $defs definitions title description default examples format deprecated readOnly writeOnly minContains maxContains then else".split(" "));

const size = (text) => [...text].length; // in code points, as JSON Schema counts
const isObject = (value) => value !== null && typeof value === "object" && !Array.isArray(value);
const kindOf = (value) => (value === null ? "null" : Array.isArray(value) ? "array" : typeof value);
const isOf = (value, type) => (type === "integer" ? Number.isInteger(value) : kindOf(value) === type);
const has = (object, name) => Object.hasOwn(object, name);

/** Whether two values of JSON are one. */
function equal(a, b) {
  if (Array.isArray(a)) return Array.isArray(b) && a.length === b.length && a.every((each, n) => equal(each, b[n]));
  if (!isObject(a)) return a === b;
  const names = Object.keys(a);
  return isObject(b) && names.length === Object.keys(b).length && names.every((name) => has(b, name) && equal(a[name], b[name]));
}

function isMultiple(value, of) {
  const times = value / of;
  return Math.abs(times - Math.round(times)) < 1e-9 * Math.max(1, Math.abs(times));
}

const listed = (values) => values.map((each) => JSON.stringify(each)).join(", ").slice(0, 300);
const number = (test, what) => (value, limit) => typeof value === "number" && !test(value, limit) && `${value} is not ${what} ${limit}`;
const text = (test, what) => (value, limit) => typeof value === "string" && !test(size(value), limit) && `has to have ${what} ${limit} characters`;
const list = (test, what) => (value, limit) => Array.isArray(value) && !test(value.length, limit) && `has to have ${what} ${limit} items`;
const object = (test, what) => (value, limit) => isObject(value) && !test(Object.keys(value).length, limit) && `has to have ${what} ${limit} properties`;
const least = (a, b) => a >= b;
const most = (a, b) => a <= b;

/** Assertions that look at a value alone: each returns what is wrong, or something false. */
const ALONE = {
  type: (value, type) => ![type].flat().some((each) => isOf(value, each)) && `is ${kindOf(value)}, not ${[type].flat().join(" or ")}`,
  enum: (value, values) => !values.some((each) => equal(value, each)) && `is none of ${listed(values)}`,
  const: (value, wanted) => !equal(value, wanted) && `is not ${listed([wanted])}`,
  minimum: number(least, "at least"),
  maximum: number(most, "at most"),
  exclusiveMinimum: number((a, b) => a > b, "above"),
  exclusiveMaximum: number((a, b) => a < b, "below"),
  multipleOf: number(isMultiple, "a multiple of"),
  minLength: text(least, "at least"),
  maxLength: text(most, "at most"),
  pattern: (value, pattern) => typeof value === "string" && !new RegExp(pattern, "u").test(value) && `does not match ${pattern}`,
  minItems: list(least, "at least"),
  maxItems: list(most, "at most"),
  uniqueItems: (value, wanted) => wanted && Array.isArray(value) && value.some((each, n) => value.slice(0, n).some((other) => equal(each, other))) && "has an item twice",
  minProperties: object(least, "at least"),
  maxProperties: object(most, "at most"),
  required: (value, names) => isObject(value) && names.some((name) => !has(value, name)) && `lacks ${names.filter((name) => !has(value, name)).join(", ")}`,
  dependentRequired: (value, needs) => isObject(value) && Object.entries(needs).some(([name, names]) => has(value, name) && names.some((each) => !has(value, each))) && "lacks what another property needs",
};

class Judge {
  constructor(root) {
    this.root = root;
    this.depth = 0;
  }

  /** Return what is wrong with a value, each with its place. */
  wrong(value, schema, at) {
    if (schema === true) return [];
    if (schema === false) return [`${at || "/"} is not allowed`];
    if (!isObject(schema)) throw new TypeError(`${JSON.stringify(schema)} is no schema`);
    this.depth += 1;
    if (this.depth > 300) throw new TypeError("it refers to itself without an end");
    const found = Object.keys(schema).flatMap((name) => this.keyword(name, schema, value, at));
    this.depth -= 1;
    return found;
  }

  keyword(name, schema, value, at) {
    if (has(ALONE, name)) {
      const said = ALONE[name](value, schema[name]);
      return said ? [`${at || "/"} ${said}`] : [];
    }
    if (has(INSIDE, name)) return INSIDE[name](this, schema, value, at);
    if (SILENT.has(name)) return [];
    throw new TypeError(`${name} is not judged here`);
  }

  holds(value, schema) {
    return !this.wrong(value, schema, "").length;
  }

  /** Return the schema that a reference means. */
  referred(reference) {
    if (!/^#(\/|$)/.test(reference)) throw new TypeError(`${reference} is elsewhere`);
    const names = decodeURIComponent(reference).split("/").slice(1).map((name) => name.replace(/~1/g, "/").replace(/~0/g, "~"));
    return names.reduce((schema, name) => {
      if (schema === null || typeof schema !== "object" || !has(schema, name)) throw new TypeError(`there is no ${reference}`);
      return schema[name];
    }, this.root);
  }
}

/** Keywords that have schemas in them. */
const INSIDE = {
  $ref: (judge, { $ref }, value, at) => judge.wrong(value, judge.referred($ref), at),
  allOf: (judge, { allOf }, value, at) => allOf.flatMap((each) => judge.wrong(value, each, at)),
  anyOf(judge, { anyOf }, value, at) {
    const each = anyOf.map((one) => judge.wrong(value, one, at));
    if (each.some((found) => !found.length)) return [];
    return [`${at || "/"} fits none of ${anyOf.length} schemas`, ...each.sort((a, b) => a.length - b.length)[0]];
  },
  oneOf(judge, { oneOf }, value, at) {
    const fits = oneOf.filter((each) => judge.holds(value, each)).length;
    return fits === 1 ? [] : [`${at || "/"} fits ${fits} of ${oneOf.length} schemas, not one`];
  },
  not: (judge, { not }, value, at) => (judge.holds(value, not) ? [`${at || "/"} fits what it must not`] : []),
  if(judge, schema, value, at) {
    const branch = judge.holds(value, schema.if) ? "then" : "else";
    return has(schema, branch) ? judge.wrong(value, schema[branch], at) : [];
  },
  properties: (judge, { properties }, value, at) =>
    isObject(value) ? Object.keys(properties).flatMap((name) => (has(value, name) ? judge.wrong(value[name], properties[name], `${at}/${name}`) : [])) : [],
  patternProperties: (judge, { patternProperties }, value, at) =>
    isObject(value) ? Object.entries(patternProperties).flatMap(([pattern, schema]) => {
      const matches = new RegExp(pattern, "u");
      return Object.keys(value).filter((name) => matches.test(name)).flatMap((name) => judge.wrong(value[name], schema, `${at}/${name}`));
    }) : [],
  additionalProperties(judge, { additionalProperties, properties = {}, patternProperties = {} }, value, at) {
    if (!isObject(value)) return [];
    const patterns = Object.keys(patternProperties).map((each) => new RegExp(each, "u"));
    const others = Object.keys(value).filter((name) => !has(properties, name) && !patterns.some((each) => each.test(name)));
    return others.flatMap((name) => judge.wrong(value[name], additionalProperties, `${at}/${name}`));
  },
  propertyNames: (judge, { propertyNames }, value, at) =>
    isObject(value) ? Object.keys(value).flatMap((name) => judge.wrong(name, propertyNames, `${at}/${name}`)) : [],
  prefixItems: (judge, { prefixItems }, value, at) =>
    Array.isArray(value) ? prefixItems.slice(0, value.length).flatMap((each, n) => judge.wrong(value[n], each, `${at}/${n}`)) : [],
  items(judge, { items, prefixItems = [] }, value, at) {
    if (!Array.isArray(value)) return [];
    return value.slice(prefixItems.length).flatMap((each, n) => judge.wrong(each, items, `${at}/${n + prefixItems.length}`));
  },
  contains(judge, { contains, minContains = 1, maxContains = Infinity }, value, at) {
    if (!Array.isArray(value)) return [];
    const fits = value.filter((each) => judge.holds(each, contains)).length;
    return fits >= minContains && fits <= maxContains ? [] : [`${at || "/"} has ${fits} items of those it has to contain`];
  },
};

/**
 * Return the value of an answer, and what is wrong with it.
 * @param {string} text
 * @param {any} schema
 * @returns {{value?: any, errors: string[], unjudged?: string}} `unjudged` says why there is no verdict.
 */
export function judged(text, schema) {
  let value;
  try {
    value = JSON.parse(text);
  } catch (error) {
    return { errors: [`it is no JSON: ${error.message}`] };
  }
  try {
    return { value, errors: new Judge(schema).wrong(value, schema, "") };
  } catch (error) {
    return { value, errors: [], unjudged: error.message };
  }
}
