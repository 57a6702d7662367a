from tests.search.extraction import keys_of, resource, strings_of


def test_an_extension_is_found_by_its_value() -> None:
    gene = {
        "url": "http://hl7.org/fhir/StructureDefinition/observation-geneticsGene",
        "valueCodeableConcept": {"coding": [{"system": "http://s", "code": "BRCA1"}]},
    }
    observation = resource("Observation", extension=[gene])
    assert keys_of(observation, "gene-identifier", "http://s\x1fBRCA1") == {"http://s\x1fBRCA1"}
    variant = {
        "url": "http://hl7.org/fhir/StructureDefinition/observation-geneticsDnaVariant",
        "valueString": "c.1A>G",
    }
    observation = resource("Observation", extension=[variant, gene])
    assert strings_of(observation, "dna-variant") == ["c.1a>g"]
